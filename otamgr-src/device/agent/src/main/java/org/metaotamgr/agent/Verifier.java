// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.nio.file.Path;

/** Checks signatures with the keys of the device, in {@code /etc/otamgr/keys.d}. */
public interface Verifier {
    /**
     * Checks a detached signature.
     *
     * @param file what was signed
     * @param signature the signature: Ed25519, or ECDSA P-256 with SHA-256
     * @throws SourceException with {@link SourceException.Reason#NOT_TRUSTED} if no key of the device made it
     * @throws InterruptedException if the thread was interrupted
     */
    void verifyFile(Path file, Path signature) throws SourceException, InterruptedException;

    /**
     * Checks the signature of a bundle's manifest; the payload is not read.
     *
     * @param bundle the bundle, of which at least the members before the payload have to be there
     * @return what the manifest says
     * @throws SourceException with {@link SourceException.Reason#BAD_BUNDLE} if no key of the device made it, or if it
     *     is no bundle
     * @throws InterruptedException if the thread was interrupted
     */
    Manifest verifyBundle(Path bundle) throws SourceException, InterruptedException;
}
