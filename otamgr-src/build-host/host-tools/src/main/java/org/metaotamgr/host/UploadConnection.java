// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.NoRouteToHostException;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.UnknownHostException;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;
import org.metaotamgr.device.Proxies;

/**
 * One POST of an image, blocking, in HTTP/1.1 (RFC 9112) on a connection of its own, perhaps through a proxy.
 *
 * <p>All other calls are made with java.net.http. That passes each block between threads and through many layers that are compiled
 * while they run: for 1 GB it took four times the processor time of curl, and lost where the cores were shared ("Tests and
 * measurements" in docs/host-tools.md). HttpURLConnection is lighter, but drops what a service answers before it has the whole
 * body, so that an image that is refused would be sent again and again.
 */
final class UploadConnection implements AutoCloseable {

    /** What came back. */
    record Reply(int status, byte[] body) {}

    private static final Pattern STATUS = Pattern.compile("HTTP/1\\.[01] ([1-5][0-9]{2})(?: .*)?");
    private static final int LONGEST_LINE = 16 * 1024;
    private static final int MOST_LINES = 256;
    private static final int MOST_INTERIM = 16;
    private static final int LAST_WORDS_MS = 1000;

    private final URI uri;
    private final String host;
    private final boolean secure;
    private final int port;
    private final Rest.Timeouts patience;
    private final Optional<SSLContext> trust;
    private final Optional<Proxies.Server> proxy;
    private final Socket socket;

    /** Through the proxy that Java is told to use. */
    UploadConnection(URI uri, Rest.Timeouts patience, Optional<SSLContext> trust) {
        this(uri, patience, trust, proxyOfJava(uri));
    }

    /** What the properties of Java say, such as https.proxyHost. */
    static Optional<Proxies.Server> proxyOfJava(URI uri) {
        return Optional.ofNullable(ProxySelector.getDefault())
                .map(selector -> selector.select(uri))
                .orElse(List.of())
                .stream()
                .filter(found -> found.type() == Proxy.Type.HTTP && found.address() instanceof InetSocketAddress)
                .map(found -> (InetSocketAddress) found.address())
                .map(address -> new Proxies.Server(address.getHostString(), address.getPort(), Optional.empty()))
                .findFirst();
    }

    UploadConnection(URI uri, Rest.Timeouts patience, Optional<SSLContext> trust, Optional<Proxies.Server> proxy) {
        this.uri = uri;
        this.patience = patience;
        this.trust = trust;
        host = uri.getHost().replaceAll("[\\[\\]]", "");
        secure = uri.getScheme().equalsIgnoreCase("https");
        port = uri.getPort() >= 0 ? uri.getPort() : secure ? 443 : 80;
        this.proxy = proxy;
        // A proxy for HTTP is spoken to here; the socket itself knows nothing of it.
        socket = new Socket(Proxy.NO_PROXY);
    }

    /**
     * Sends a request and waits for the answer, which may come before all of the body is sent.
     *
     * @throws IOException if the connection cannot be made, breaks, or is {@link #close closed} by another thread
     */
    Reply post(Map<String, String> headers, UploadBody body) throws IOException {
        Map<String, String> all = new HashMap<>(headers);
        all.put("Content-Length", Long.toString(body.size()));
        all.put("Connection", "close");
        connect();
        Socket stream = secure ? tls() : socket;
        try {
            String target = proxied() && !secure ? uri.toString() : uri.getRawPath();
            if (proxied() && !secure) {
                proxy.get().authorization().ifPresent(value -> all.put("Proxy-Authorization", value));
            }
            stream.getOutputStream().write(head("POST " + target, all));
            body.writeTo(stream.getOutputStream());
        } catch (IOException e) {
            if (body.failure() != null) {
                throw e;
            }
            return lastWords(stream, e);
        }
        return reply(stream);
    }

    /** Ends whatever is being done; the thread that does it gets an exception. */
    @Override
    public void close() {
        try {
            // Not the TLS above it: that would wait for its turn to say goodbye, behind the write that does not end.
            socket.close();
        } catch (IOException e) {
            // It is of no use any more, which is what was wanted.
        }
    }

    private boolean proxied() {
        return proxy.isPresent();
    }

    private void connect() throws IOException {
        InetSocketAddress peer = new InetSocketAddress(host, port);
        if (proxied()) {
            peer = new InetSocketAddress(proxy.get().host(), proxy.get().port());
        }
        try {
            socket.connect(peer, Math.toIntExact(patience.connect().toMillis()));
        } catch (SocketTimeoutException e) {
            throw new HttpConnectTimeoutException("not connected in time");
        } catch (UnknownHostException | NoRouteToHostException e) {
            throw new ConnectException("no way to the host");
        }
        socket.setTcpNoDelay(true);
        socket.setSoTimeout(Math.toIntExact(patience.answer().toMillis()));
        if (proxied() && secure) {
            String authority = uri.getHost() + ":" + port;
            socket.getOutputStream()
                    .write(head(
                            "CONNECT " + authority,
                            proxy.get()
                                    .authorization()
                                    .map(value -> Map.of("Proxy-Authorization", value))
                                    .orElse(Map.of())));
            // Nothing is read ahead: what follows the empty line belongs to TLS.
            int status = status(socket.getInputStream(), new HashMap<>());
            if (status != 200) {
                throw new ProxyRefusal(proxy.get(), status);
            }
        }
    }

    private Socket tls() throws IOException {
        SSLSocketFactory factory = trust.map(SSLContext::getSocketFactory)
                .orElseGet(() -> (SSLSocketFactory) SSLSocketFactory.getDefault());
        SSLSocket tls = (SSLSocket) factory.createSocket(socket, host, port, true);
        SSLParameters parameters = tls.getSSLParameters();
        parameters.setProtocols(Rest.tlsProtocols());
        // Without this any certificate would do that is trusted for any host.
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        tls.setSSLParameters(parameters);
        try {
            tls.startHandshake();
        } catch (SocketTimeoutException e) {
            throw new HttpTimeoutException("no handshake");
        }
        return tls;
    }

    private byte[] head(String start, Map<String, String> headers) {
        StringBuilder head = new StringBuilder(start)
                .append(" HTTP/1.1\r\nHost: ")
                .append(uri.getRawAuthority())
                .append("\r\nUser-Agent: ota\r\n");
        headers.forEach(
                (name, value) -> head.append(name).append(": ").append(value).append("\r\n"));
        return head.append("\r\n").toString().getBytes(StandardCharsets.ISO_8859_1);
    }

    /** Why the service does not take more, if it has said so before it hung up. */
    private Reply lastWords(Socket stream, IOException broken) throws IOException {
        try {
            socket.setSoTimeout(LAST_WORDS_MS);
            return reply(stream);
        } catch (IOException e) {
            throw broken;
        }
    }

    private Reply reply(Socket stream) throws IOException {
        try {
            InputStream in = new BufferedInputStream(stream.getInputStream());
            Map<String, String> headers = new HashMap<>();
            int status = status(in, headers);
            for (int interim = 0; status < 200; interim++) {
                if (interim == MOST_INTERIM) {
                    throw new IOException("the answer never comes");
                }
                headers.clear();
                status = status(in, headers);
            }
            if (status == 407 && proxied()) {
                throw new ProxyRefusal(proxy.get(), status);
            }
            return new Reply(status, body(in, status, headers));
        } catch (SocketTimeoutException e) {
            throw new HttpTimeoutException("no answer");
        }
    }

    private static int status(InputStream in, Map<String, String> headers) throws IOException {
        Matcher status = STATUS.matcher(line(in));
        if (!status.matches()) {
            throw new IOException("the answer is not HTTP/1.1");
        }
        int lines = 0;
        for (String line = line(in); !line.isEmpty(); line = line(in)) {
            int colon = line.indexOf(':');
            if (colon < 1 || ++lines > MOST_LINES) {
                throw new IOException("the answer is not HTTP/1.1");
            }
            headers.put(
                    line.substring(0, colon).toLowerCase(Locale.ROOT),
                    line.substring(colon + 1).strip());
        }
        return Integer.parseInt(status.group(1));
    }

    private static byte[] body(InputStream in, int status, Map<String, String> headers) throws IOException {
        if (status == 204 || status == 304) {
            return new byte[0];
        }
        String coding = headers.get("transfer-encoding");
        if (coding != null) {
            if (!coding.equalsIgnoreCase("chunked")) {
                throw new IOException("Transfer-Encoding: expected chunked");
            }
            return chunks(in);
        }
        String length = headers.get("content-length");
        if (length != null) {
            return exactly(in, number(length, "[0-9]{1,9}", 10));
        }
        return limited(in.readNBytes(LimitedBody.LIMIT + 1));
    }

    private static byte[] chunks(InputStream in) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        while (true) {
            int size = number(size(line(in)), "[0-9a-fA-F]{1,7}", 16);
            if (size == 0) {
                return all.toByteArray();
            }
            all.writeBytes(exactly(in, size));
            if (!line(in).isEmpty() || all.size() > LimitedBody.LIMIT) {
                throw new IOException(
                        "the answer is not chunked as announced, or longer than " + LimitedBody.LIMIT + " bytes");
            }
        }
    }

    /** What stands before the extensions of a chunk. */
    private static String size(String line) {
        int semicolon = line.indexOf(';');
        return (semicolon < 0 ? line : line.substring(0, semicolon)).strip();
    }

    private static int number(String text, String pattern, int radix) throws IOException {
        int number = text.matches(pattern) ? Integer.parseInt(text, radix) : -1;
        if (number < 0 || number > LimitedBody.LIMIT) {
            throw new IOException("the length of the answer: expected 0 to " + LimitedBody.LIMIT);
        }
        return number;
    }

    private static byte[] exactly(InputStream in, int size) throws IOException {
        byte[] bytes = in.readNBytes(size);
        if (bytes.length < size) {
            throw new EOFException("the answer ended early");
        }
        return bytes;
    }

    private static byte[] limited(byte[] bytes) throws IOException {
        if (bytes.length > LimitedBody.LIMIT) {
            throw new IOException("the answer is longer than " + LimitedBody.LIMIT + " bytes");
        }
        return bytes;
    }

    private static String line(InputStream in) throws IOException {
        StringBuilder line = new StringBuilder();
        for (int next = in.read(); next != '\n'; next = in.read()) {
            if (next < 0 || line.length() == LONGEST_LINE) {
                throw new EOFException("the answer ended early, or has an endless line");
            }
            line.append((char) next);
        }
        return line.length() > 0 && line.charAt(line.length() - 1) == '\r'
                ? line.substring(0, line.length() - 1)
                : line.toString();
    }
}
