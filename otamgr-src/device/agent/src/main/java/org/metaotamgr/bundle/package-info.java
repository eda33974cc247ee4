// SPDX-License-Identifier: MIT
/** Updates from a folder or a USB stick: signed bundles that somebody put there. */
package org.metaotamgr.bundle;
