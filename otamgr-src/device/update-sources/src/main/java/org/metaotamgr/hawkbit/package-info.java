// SPDX-License-Identifier: MIT
/** Updates that an Eclipse hawkBit server assigns, through its Direct Device Integration API: docs/source-hawkbit.md. */
package org.metaotamgr.hawkbit;
