// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.SignatureException;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;

/**
 * The header of the simulated OTA service, as a device checks it: lines {@code key=value}, the last of which is {@code signature=}, the
 * Base64 of an Ed25519 signature over all bytes before that line. The real header is private to Afero's cloud and hubby.
 */
final class SignedHeader {
    private static final String SIGNATURE_LINE = "\nsignature=";

    private SignedHeader() {}

    /** Reads a public key. */
    static PublicKey publicKey(String pem) throws GeneralSecurityException {
        String base64 = pem.replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
        try {
            return KeyFactory.getInstance("Ed25519")
                    .generatePublic(new X509EncodedKeySpec(Base64.getDecoder().decode(base64)));
        } catch (IllegalArgumentException e) {
            throw new GeneralSecurityException("the public key is not Base64", e);
        }
    }

    /** Whether a header has been signed with the private half of a key. */
    static boolean isSignedWith(byte[] header, PublicKey key) throws GeneralSecurityException {
        String text = new String(header, StandardCharsets.ISO_8859_1);
        int at = text.lastIndexOf(SIGNATURE_LINE);
        if (at < 0 || !text.endsWith("\n")) {
            return false;
        }
        Signature signature = Signature.getInstance("Ed25519");
        signature.initVerify(key);
        signature.update(header, 0, at + 1);
        try {
            return signature.verify(
                    Base64.getDecoder().decode(text.substring(at + SIGNATURE_LINE.length(), text.length() - 1)));
        } catch (IllegalArgumentException | SignatureException e) {
            return false;
        }
    }
}
