// SPDX-License-Identifier: MIT
/**
 * The command line for a build host: creates OTA records, uploads images, deploys them to devices and tells how that went.
 * It replaces Afero's two Python scripts, whose names and options still work. What the service expects is from its public
 * documentation; the sections named in comments are those of the project's reference "OTA service".
 */
package org.metaotamgr.host;
