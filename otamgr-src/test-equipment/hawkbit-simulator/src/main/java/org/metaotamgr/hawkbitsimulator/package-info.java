// SPDX-License-Identifier: MIT
/** The part of an Eclipse hawkBit server that devices see, for tests and for trying things out; never on a device. */
package org.metaotamgr.hawkbitsimulator;
