// SPDX-License-Identifier: MIT
/** The device's TUF client as a command of its own: test equipment. */
package org.metaotamgr.tufclient;
