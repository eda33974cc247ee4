// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.regex.Pattern;

/**
 * The header that goes with an image here. The real header is private to Afero's cloud and hubby; this one is ours: lines
 * {@code key=value} in UTF-8, the last of which is {@code signature=}, the Base64 of an Ed25519 signature over all bytes before
 * that line. Nothing on a device but the hubby stand-in looks into it.
 */
final class UpdateHeader {

    private static final String SIGNATURE_KEY = "signature=";
    private static final Pattern PEM =
            Pattern.compile("-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n");

    private final PrivateKey privateKey;
    private final String publicPem;

    private UpdateHeader(PrivateKey privateKey, String publicPem) {
        this.privateKey = privateKey;
        this.publicPem = publicPem;
    }

    /** Takes the key pair from a folder, or makes one there. */
    static UpdateHeader keyIn(Path folder) throws IOException {
        Path privateFile = folder.resolve("signing-key.der");
        Path publicFile = folder.resolve("signing-key-public.pem");
        try {
            if (!Files.exists(privateFile) || !Files.exists(publicFile)) {
                KeyPair pair = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
                PrivateFiles.write(privateFile, pair.getPrivate().getEncoded());
                PrivateFiles.write(publicFile, pem(pair.getPublic()).getBytes(StandardCharsets.UTF_8));
            }
            PrivateKey key = KeyFactory.getInstance("Ed25519")
                    .generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(privateFile)));
            String publicPem = Files.readString(publicFile);
            if (!PEM.matcher(publicPem).matches()) {
                throw new GeneralSecurityException("the public key is no PEM file");
            }
            return new UpdateHeader(key, publicPem);
        } catch (GeneralSecurityException e) {
            throw new IOException(
                    folder
                            + ": the signing key cannot be used; remove signing-key.der and signing-key-public.pem for a new one");
        }
    }

    private static String pem(PublicKey key) {
        return "-----BEGIN PUBLIC KEY-----\n"
                + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(key.getEncoded())
                + "\n-----END PUBLIC KEY-----\n";
    }

    String publicKeyPem() {
        return publicPem;
    }

    byte[] sign(Association image, String imageSha256, long imageSize) {
        PoolRecord record = image.record();
        String text = "header=simulated, not Afero's format\n"
                + "type=" + record.type() + "\n"
                + "name=" + oneLine(record.name()) + "\n"
                + "version=" + oneLine(record.version()) + "\n"
                + "versionNumber=" + record.versionNumber() + "\n"
                + "imageSize=" + imageSize + "\n"
                + "imageSha256=" + imageSha256 + "\n";
        byte[] signed = text.getBytes(StandardCharsets.UTF_8);
        try {
            Signature signature = Signature.getInstance("Ed25519");
            signature.initSign(privateKey);
            signature.update(signed);
            return (text + SIGNATURE_KEY + Base64.getEncoder().encodeToString(signature.sign()) + "\n")
                    .getBytes(StandardCharsets.UTF_8);
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("every Java runtime since 15 has Ed25519", e);
        }
    }

    private static String oneLine(String text) {
        return text.replaceAll("\\p{Cntrl}", " ");
    }
}
