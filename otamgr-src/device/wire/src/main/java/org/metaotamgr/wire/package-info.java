// SPDX-License-Identifier: MIT
/**
 * The attribute daemon's protocol on the wire: framing, parameters, messages and transactions. Pure values and state
 * machines without threads, sockets or clocks of their own, so that the client and the simulators share one
 * implementation and tests decide when time passes.
 */
package org.metaotamgr.wire;
