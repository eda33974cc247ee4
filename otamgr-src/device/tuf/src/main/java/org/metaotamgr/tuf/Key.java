// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.Signature;
import java.security.interfaces.ECPublicKey;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.HexFormat;

/**
 * A public key as metadata has it.
 *
 * @param keytype {@code ed25519}, {@code ecdsa} or {@code rsa}; others verify nothing
 * @param scheme {@code ed25519}, {@code ecdsa-sha2-nistp256} or {@code rsassa-pss-sha256}; others verify nothing
 * @param value the key: hex digits, or PEM
 */
record Key(String keytype, String scheme, String value) {
    /** What an Ed25519 key in X.509 form begins with, before its 32 bytes. */
    private static final String ED25519_PREFIX = "302a300506032b6570032100";

    private static final int ED25519_DIGITS = 64;
    private static final int P256_BITS = 256;
    private static final int SHORTEST_RSA_BITS = 2048;
    private static final int SALT_BYTES = 32;
    private static final String BEGIN = "-----BEGIN PUBLIC KEY-----";
    private static final String END = "-----END PUBLIC KEY-----";

    /**
     * Whether this key made a signature. One that is not understood, or of a kind that is not accepted, made none.
     *
     * @param signature the signature
     * @param content what was signed
     * @return whether it did
     */
    boolean hasSigned(byte[] signature, byte[] content) {
        try {
            return switch (scheme) {
                case "ed25519" -> keytype.equals("ed25519") && ed25519(signature, content);
                    // Older repositories name the scheme in place of the type.
                case "ecdsa-sha2-nistp256" -> (keytype.equals("ecdsa") || keytype.equals(scheme))
                        && ecdsa(signature, content);
                case "rsassa-pss-sha256" -> keytype.equals("rsa") && rsa(signature, content);
                default -> false;
            };
        } catch (GeneralSecurityException | IllegalArgumentException e) {
            return false;
        }
    }

    private boolean ed25519(byte[] signature, byte[] content) throws GeneralSecurityException {
        if (value.length() != ED25519_DIGITS) {
            return false;
        }
        PublicKey key = KeyFactory.getInstance("Ed25519")
                .generatePublic(new X509EncodedKeySpec(HexFormat.of().parseHex(ED25519_PREFIX + value)));
        return verified(Signature.getInstance("Ed25519"), key, signature, content);
    }

    private boolean ecdsa(byte[] signature, byte[] content) throws GeneralSecurityException {
        PublicKey key = KeyFactory.getInstance("EC").generatePublic(new X509EncodedKeySpec(pem()));
        return key instanceof ECPublicKey ec
                && ec.getParams().getOrder().bitLength() == P256_BITS
                && verified(Signature.getInstance("SHA256withECDSA"), key, signature, content);
    }

    private boolean rsa(byte[] signature, byte[] content) throws GeneralSecurityException {
        PublicKey key = KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(pem()));
        Signature pss = Signature.getInstance("RSASSA-PSS");
        pss.setParameter(new PSSParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, SALT_BYTES, 1));
        return key instanceof RSAPublicKey rsa
                && rsa.getModulus().bitLength() >= SHORTEST_RSA_BITS
                && verified(pss, key, signature, content);
    }

    private static boolean verified(Signature verifier, PublicKey key, byte[] signature, byte[] content)
            throws GeneralSecurityException {
        verifier.initVerify(key);
        verifier.update(content);
        return verifier.verify(signature);
    }

    private byte[] pem() {
        int begin = value.indexOf(BEGIN);
        int end = value.indexOf(END);
        if (begin < 0 || end < begin) {
            throw new IllegalArgumentException("no public key in PEM");
        }
        return Base64.getMimeDecoder().decode(value.substring(begin + BEGIN.length(), end));
    }
}
