// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

/** A command, after its options are understood. */
interface Step {
    ExitStatus run(ProcessContext context, Secrets secrets) throws OtaException;

    /** Whether problems are to be reported as JSON. */
    boolean json();
}
