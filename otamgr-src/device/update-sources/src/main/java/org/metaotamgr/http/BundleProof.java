// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import org.metaotamgr.agent.Manifest;
import org.metaotamgr.agent.Original;
import org.metaotamgr.agent.PullProgress;
import org.metaotamgr.agent.SourceContext;
import org.metaotamgr.agent.SourceException;
import org.metaotamgr.agent.SourceException.Reason;
import org.metaotamgr.agent.Target;
import org.metaotamgr.agent.Verifier;
import org.metaotamgr.agent.Version;
import org.metaotamgr.bundle.BundleImage;
import org.metaotamgr.bundle.PullInParts;
import org.metaotamgr.device.Printable;

/**
 * Proves that a file which was pulled is a bundle, signed by a key of the device, of the board and version that were offered, and
 * with image and block index that were signed.
 */
public final class BundleProof {
    private BundleProof() {}

    /**
     * Checks the file.
     *
     * @param file the file
     * @param target what was offered
     * @param verifier checks the signature
     * @param mayBeImage whether an image that is no bundle is left to sysupgrade, which takes it if the device does not require
     *     signatures
     * @throws SourceException if it is not the one
     * @throws InterruptedException if the thread was interrupted
     */
    public static void check(Path file, Target target, Verifier verifier, boolean mayBeImage)
            throws SourceException, InterruptedException {
        if (mayBeImage && !isBundle(file)) {
            return;
        }
        prove(file, target, verifier, false);
    }

    /**
     * Checks what comes before the frames of a bundle of format 2 that is pulled in parts.
     *
     * @param file the bundle, of its full length
     * @param target what was offered
     * @param verifier checks the signature
     * @throws SourceException if it is not the one
     * @throws InterruptedException if the thread was interrupted
     */
    public static void checkBeginning(Path file, Target target, Verifier verifier)
            throws SourceException, InterruptedException {
        prove(file, target, verifier, true);
    }

    /**
     * A pull in parts whose beginning is checked so.
     *
     * @param target what was offered
     * @param storage the target's folder
     * @param original where the bundle is
     * @param context what the device offers
     * @param progress receives the progress
     * @return the pull
     */
    public static PullInParts pull(
            Target target, Path storage, Original original, SourceContext context, PullProgress progress) {
        return new PullInParts(
                target, storage, original, part -> checkBeginning(part, target, context.verifier()), context, progress);
    }

    private static void prove(Path file, Target target, Verifier verifier, boolean isInParts)
            throws SourceException, InterruptedException {
        Manifest manifest = verifier.verifyBundle(file);
        String version = manifest.value("version").orElse("");
        if (!new Version(version).isSame(new Version(target.version()))) {
            throw new SourceException(
                    Reason.BAD_BUNDLE,
                    target.name() + ": expected a bundle of version " + target.version() + " as was offered, found "
                            + version + " in its manifest");
        }
        String compatible = manifest.value("compatible").orElse("");
        if (target.compatible().isPresent()
                && !compatible.equals(target.compatible().get())) {
            throw new SourceException(
                    Reason.FOREIGN,
                    target.name() + ": expected a bundle for "
                            + target.compatible().get() + ", found one for " + compatible);
        }
        try {
            // Whoever offered it may have hashed what somebody had changed before.
            Optional<String> problem =
                    isInParts ? BundleImage.problemBeforeImage(file, manifest) : BundleImage.problem(file, manifest);
            if (problem.isPresent()) {
                throw new SourceException(Reason.DAMAGED, target.name() + ": " + problem.get());
            }
        } catch (IOException e) {
            throw new SourceException(Reason.BAD_BUNDLE, target.name() + ": " + Printable.of(e.getMessage()));
        }
    }

    private static boolean isBundle(Path file) throws SourceException {
        try {
            return BundleImage.isBundle(file);
        } catch (IOException e) {
            throw new SourceException(Reason.DOWNLOAD_FAILED, file + ": " + e);
        }
    }
}
