// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSession;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;

/** Reads certificates and keys as everybody has them, in PEM, instead of a keystore of Java. */
final class Tls {
    private static final int MAX_FILE_SIZE = 4 << 20;
    private static final String BEGIN = "-----BEGIN CERTIFICATE-----";
    private static final String END = "-----END CERTIFICATE-----";
    private static final Pattern KEY = Pattern.compile("-----BEGIN PRIVATE KEY-----([^-]*)-----END PRIVATE KEY-----");

    private static final Pattern LIGHT = Pattern.compile("TLS_(ECDHE_(ECDSA|RSA)_WITH_)?AES_128_GCM_SHA256");

    private static final String[] TLS_1_2 = {"TLSv1.2"};

    private Tls() {}

    /** Makes connections, and knows the last one. May be used from any thread. */
    static final class Sockets {
        private final SSLSocketFactory factory;
        private final String[] suites;
        /** Only sessions of TLS 1.2; empty if anything may be spoken. */
        private Optional<SSLSession> last = Optional.empty();

        Sockets(SSLSocketFactory factory) {
            this.factory = factory;
            suites = lightFirst(factory.getDefaultCipherSuites());
        }

        /**
         * TLS above a connection.
         *
         * @param socket connected
         * @param host the server's name, which its certificate has to be for
         * @param port the server's port
         * @return it, not shaken hands yet
         * @throws IOException if the connection is over
         */
        SSLSocket above(Socket socket, String host, int port) throws IOException {
            SSLSocket secure = (SSLSocket) factory.createSocket(socket, host, port, true);
            SSLParameters parameters = secure.getSSLParameters();
            // Without this any certificate would do that is trusted for any host.
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            parameters.setCipherSuites(suites);
            secure.setSSLParameters(parameters);
            return secure;
        }

        /**
         * Java's own first choice has SHA-384, which in its interpreter is a quarter of a check; those with AES-128, SHA-256 and keys that
         * are forgotten are no weaker in practice. A server that has an order of its own keeps that.
         */
        private static String[] lightFirst(String[] all) {
            List<String> sorted = new ArrayList<>(List.of(all));
            sorted.sort(Comparator.comparing(suite -> !LIGHT.matcher(suite).matches()));
            return sorted.toArray(new String[0]);
        }

        /**
         * Shakes hands. For TLS 1.3 Java draws two keys before it says a word, which on a slow board is half of a check, and for nothing
         * where a session of TLS 1.2 goes on: that the server speaks nothing newer is known from its handshake, which nobody can
         * have changed. Whoever does not go on with it, or fails, is offered everything next time.
         *
         * @param socket connected, not shaken hands yet
         * @param host the server's name
         * @param port the server's port
         * @throws IOException if that fails
         */
        void shakeHands(SSLSocket socket, String host, int port) throws IOException {
            Optional<SSLSession> known = known(host, port);
            if (known.isPresent()) {
                socket.setEnabledProtocols(TLS_1_2);
            }
            socket.startHandshake();
            SSLSession session = socket.getSession();
            boolean goesOn = known.isEmpty() || known.get().getCreationTime() == session.getCreationTime();
            remember(session.getProtocol().equals(TLS_1_2[0]) && goesOn ? Optional.of(session) : Optional.empty());
        }

        /** The session that will go on; it is remembered again when that was seen. */
        private synchronized Optional<SSLSession> known(String host, int port) {
            Optional<SSLSession> known = last.filter(session ->
                    session.isValid() && host.equalsIgnoreCase(session.getPeerHost()) && port == session.getPeerPort());
            last = Optional.empty();
            return known;
        }

        private synchronized void remember(Optional<SSLSession> session) {
            last = session;
        }
    }

    /**
     * Connections to servers that show a certificate of one of the authorities. No certificate of the device is shown.
     *
     * @throws IOException if a file cannot be used; the message says which
     */
    static Sockets anonymous(Path caFile) throws IOException {
        return context(caFile, new KeyManager[0]);
    }

    /**
     * Connections on which the device shows its own certificate.
     *
     * @throws IOException if a file cannot be used; the message says which
     */
    static Sockets withCertificate(Path caFile, Path certificate, Path key) throws IOException {
        try {
            KeyStore store = empty();
            store.setKeyEntry(
                    "device",
                    privateKey(key),
                    new char[0],
                    certificates(certificate).toArray(new Certificate[0]));
            KeyManagerFactory factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            factory.init(store, new char[0]);
            return context(caFile, factory.getKeyManagers());
        } catch (GeneralSecurityException e) {
            throw new IOException(certificate + " and " + key + ": expected a certificate and its key, found " + e, e);
        }
    }

    private static Sockets context(Path caFile, KeyManager[] own) throws IOException {
        try {
            KeyStore store = empty();
            for (Certificate authority : certificates(caFile)) {
                store.setCertificateEntry("authority-" + store.size(), authority);
            }
            TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init(store);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(own, factory.getTrustManagers(), null);
            return new Sockets(context.getSocketFactory());
        } catch (GeneralSecurityException e) {
            throw new IOException(caFile + ": expected certificates of authorities, found " + e, e);
        }
    }

    private static KeyStore empty() throws GeneralSecurityException, IOException {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        return store;
    }

    private static List<Certificate> certificates(Path file) throws IOException {
        byte[] content = blocks(read(file));
        try {
            Collection<? extends Certificate> found =
                    CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(content));
            if (found.isEmpty()) {
                throw new IOException(file + ": expected certificates in PEM, found none");
            }
            return new ArrayList<>(found);
        } catch (GeneralSecurityException e) {
            throw new IOException(file + ": expected certificates in PEM, found something else", e);
        }
    }

    /** The certificates of a file in PEM alone, whatever else people keep in it; other formats as they are. */
    private static byte[] blocks(byte[] content) {
        String text = new String(content, StandardCharsets.ISO_8859_1);
        StringBuilder blocks = new StringBuilder();
        for (int begin = text.indexOf(BEGIN), end; begin >= 0; begin = text.indexOf(BEGIN, end)) {
            end = text.indexOf(END, begin);
            if (end < 0) {
                // Cut off: the library says so.
                return content;
            }
            end += END.length();
            blocks.append(text, begin, end).append('\n');
        }
        return blocks.length() == 0 ? content : blocks.toString().getBytes(StandardCharsets.ISO_8859_1);
    }

    private static PrivateKey privateKey(Path file) throws IOException, GeneralSecurityException {
        Matcher matcher = KEY.matcher(new String(read(file), StandardCharsets.ISO_8859_1));
        if (!matcher.find()) {
            throw new IOException(
                    file + ": expected BEGIN PRIVATE KEY (PKCS #8, without a password), found none; convert it "
                            + "with: openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW");
        }
        PKCS8EncodedKeySpec encoded;
        try {
            encoded = new PKCS8EncodedKeySpec(Base64.getMimeDecoder().decode(matcher.group(1)));
        } catch (IllegalArgumentException e) {
            throw new IOException(file + ": expected a key in base64, found something else", e);
        }
        for (String algorithm : List.of("EC", "RSA", "Ed25519")) {
            try {
                return KeyFactory.getInstance(algorithm).generatePrivate(encoded);
            } catch (InvalidKeySpecException e) {
                // Of another kind; its number in the key is the only sign, and the factories know it.
                continue;
            }
        }
        throw new IOException(file + ": expected a key for EC, RSA or Ed25519, found another kind");
    }

    private static byte[] read(Path file) throws IOException {
        try {
            if (Files.size(file) > MAX_FILE_SIZE) {
                throw new IOException(file + ": expected at most " + MAX_FILE_SIZE + " bytes, found more");
            }
            return Files.readAllBytes(file);
        } catch (java.nio.file.NoSuchFileException e) {
            throw new IOException(file + ": expected a file in PEM, found none", e);
        }
    }
}
