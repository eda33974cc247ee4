// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.util.HexFormat;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A signature that was right once is right again, and nothing else is right because of it. */
class SignaturesTest {
    private static final byte[] CONTENT = "what is signed".getBytes(StandardCharsets.UTF_8);

    private final Signatures signatures = new Signatures();
    private KeyPair pair;
    private Key key;

    @BeforeEach
    void makeKey() throws GeneralSecurityException {
        pair = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
        key = key(pair, "ed25519");
    }

    private static Key key(KeyPair pair, String type) {
        byte[] encoded = pair.getPublic().getEncoded();
        return new Key(type, "ed25519", HexFormat.of().formatHex(encoded, encoded.length - 32, encoded.length));
    }

    private byte[] sign(byte[] content) throws GeneralSecurityException {
        Signature signer = Signature.getInstance("Ed25519");
        signer.initSign(pair.getPrivate());
        signer.update(content);
        return signer.sign();
    }

    @Test
    void oneThatWasRightIsRightAgainAndNoOtherIs() throws GeneralSecurityException {
        byte[] signature = sign(CONTENT);
        for (int time = 0; time < 2; time++) {
            assertTrue(signatures.isRight(key, signature, CONTENT));
            for (int at = 0; at < signature.length; at++) {
                byte[] changed = signature.clone();
                changed[at] ^= 1;
                assertFalse(signatures.isRight(key, changed, CONTENT));
            }
            for (int at = 0; at < CONTENT.length; at++) {
                byte[] changed = CONTENT.clone();
                changed[at] ^= 1;
                assertFalse(signatures.isRight(key, signature, changed));
            }
            Key other = key(KeyPairGenerator.getInstance("Ed25519").generateKeyPair(), "ed25519");
            assertFalse(signatures.isRight(other, signature, CONTENT));
            // The same bytes under another name mean nothing.
            assertFalse(signatures.isRight(key(pair, "ecdsa"), signature, CONTENT));
        }
    }

    @Test
    void whereAPartEndsIsPartOfIt() throws GeneralSecurityException {
        byte[] signature = sign(CONTENT);
        assertTrue(signatures.isRight(key, signature, CONTENT));
        byte[] longer = java.util.Arrays.copyOf(signature, signature.length + 1);
        longer[signature.length] = CONTENT[0];
        assertFalse(signatures.isRight(key, longer, java.util.Arrays.copyOfRange(CONTENT, 1, CONTENT.length)));
        byte[] shorter = java.util.Arrays.copyOf(signature, signature.length - 1);
        byte[] more = new byte[CONTENT.length + 1];
        more[0] = signature[signature.length - 1];
        System.arraycopy(CONTENT, 0, more, 1, CONTENT.length);
        assertFalse(signatures.isRight(key, shorter, more));
    }

    @Test
    void oneThatWasWrongIsVerifiedAgain() throws GeneralSecurityException {
        byte[] signature = sign(CONTENT);
        byte[] other = "something else".getBytes(StandardCharsets.UTF_8);
        assertFalse(signatures.isRight(key, signature, other));
        assertTrue(signatures.isRight(key, sign(other), other));
        assertFalse(signatures.isRight(key, signature, other));
    }

    @Test
    void moreThanItRemembersAreStillVerified() throws GeneralSecurityException {
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < 200; i++) {
                byte[] content = {(byte) i};
                assertTrue(signatures.isRight(key, sign(content), content));
                assertFalse(signatures.isRight(key, sign(CONTENT), content));
            }
        }
    }
}
