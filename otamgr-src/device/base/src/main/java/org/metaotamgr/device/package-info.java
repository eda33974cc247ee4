// SPDX-License-Identifier: MIT
/** What a device offers to whoever updates it: programs, durable files, time since power-on, the log, the slots. */
package org.metaotamgr.device;
