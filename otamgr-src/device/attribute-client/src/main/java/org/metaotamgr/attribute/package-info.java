// SPDX-License-Identifier: MIT
/**
 * A client of the attribute daemon: stays connected, gets and sets attributes, is told about changes, and answers for
 * the attributes it owns.
 */
package org.metaotamgr.attribute;
