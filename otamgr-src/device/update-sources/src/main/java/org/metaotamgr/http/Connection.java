// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.Socket;
import java.net.URI;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import javax.net.ssl.SSLSocket;
import org.metaotamgr.device.Proxies;

/**
 * Requests of HTTP/1.1 and their answers, one after the other on one connection.
 *
 * <p>Neither of Java's clients bounds what it reads: trailers without end fill the memory of {@code HttpURLConnection}. Nor
 * does either leave a request alone that a broken connection has ended.
 */
final class Connection implements AutoCloseable {
    /** How many addresses of a server are tried. */
    private static final int MAX_ADDRESSES = 4;

    private final Plan plan;
    /** Closed by another thread, it ends whatever this one waits for. */
    private volatile Socket socket = new Socket(Proxy.NO_PROXY);

    private volatile boolean isClosed;
    /** What is above the socket, once it is connected. */
    private Optional<Streams> streams = Optional.empty();

    private record Streams(InputStream in, OutputStream out) {}

    /**
     * What to connect to, and how.
     *
     * @param uri a URL of http or https
     * @param proxy through which proxy
     * @param sockets for TLS; only asked for with https
     * @param connect how long each address may take
     * @param read how long the server may say nothing
     */
    record Plan(URI uri, Optional<Proxies.Server> proxy, Sockets sockets, Duration connect, Duration read) {}

    /** Makes sockets for TLS, for which files have to be read. */
    @FunctionalInterface
    interface Sockets {
        Tls.Sockets get() throws IOException;
    }

    /** What the server answered. */
    record Opened(AnswerReader.Head head, InputStream body) {}

    /** It was the proxy that said no. */
    static final class ProxyException extends IOException {
        private static final long serialVersionUID = 1L;

        ProxyException(Proxies.Server proxy, int status) {
            super("the proxy " + proxy
                    + (status == 407
                            ? " wants to know who asks (HTTP status 407); put its user and password into the setting proxy, "
                                    + "http://user:password@" + proxy
                            : " answered HTTP status " + status
                                    + " instead of connecting; check whether it allows this server"));
        }
    }

    Connection(Plan plan) {
        this.plan = plan;
    }

    /**
     * Sends the request and reads the answer up to its body.
     *
     * @param method its method
     * @param uri a URL of the server that this is connected to
     * @param headers without Host and Content-Length, which come by themselves
     * @param body what to send
     * @param isLast whether no other request will follow; else one may, when the answer was read and says so
     * @throws ProxyException if the proxy does not let it pass
     * @throws IOException if the connection breaks, or the answer is none
     */
    Opened ask(String method, URI uri, Map<String, String> headers, Optional<byte[]> body, boolean isLast)
            throws IOException {
        boolean isSecure = Urls.isSecure(plan.uri());
        if (streams.isEmpty()) {
            connect();
            Socket stream = isSecure ? secured() : socket;
            streams = Optional.of(
                    new Streams(new BufferedInputStream(stream.getInputStream()), stream.getOutputStream()));
        }
        Map<String, String> all = new LinkedHashMap<>();
        all.put("Host", authority(plan.uri()));
        all.putAll(headers);
        if (isLast) {
            // One request needs no more than one connection, and polls are minutes apart.
            all.put("Connection", "close");
        }
        body.ifPresent(content -> all.put("Content-Length", Integer.toString(content.length)));
        String target = (uri.getRawPath().isEmpty() ? "/" : uri.getRawPath())
                + (uri.getRawQuery() == null ? "" : "?" + uri.getRawQuery());
        boolean isForProxy = plan.proxy().isPresent() && !isSecure;
        if (isForProxy) {
            target = "http://" + authority(plan.uri()) + target;
            plan.proxy().get().authorization().ifPresent(value -> all.put("Proxy-Authorization", value));
        }
        OutputStream out = streams.get().out();
        out.write(head(method + " " + target, all, body.orElse(new byte[0])));
        out.flush();
        AnswerReader reader = new AnswerReader(streams.get().in());
        AnswerReader.Head head = reader.head();
        if (isForProxy && head.status() == 407) {
            throw new ProxyException(plan.proxy().get(), 407);
        }
        return new Opened(head, reader.body(head));
    }

    private void connect() throws IOException {
        String host = plan.proxy().map(Proxies.Server::host).orElse(Urls.host(plan.uri()));
        int port = plan.proxy().map(Proxies.Server::port).orElse(Urls.port(plan.uri()));
        InetAddress[] addresses;
        try {
            addresses = InetAddress.getAllByName(host);
        } catch (UnknownHostException e) {
            throw plan.proxy().isEmpty()
                    ? e
                    : new IOException(
                            "the name of the proxy " + plan.proxy().get() + " is unknown; check the setting proxy");
        }
        IOException problem = null;
        for (int at = 0; at < Math.min(addresses.length, MAX_ADDRESSES); at++) {
            try {
                socket.connect(new InetSocketAddress(addresses[at], port), (int)
                        plan.connect().toMillis());
                socket.setTcpNoDelay(true);
                socket.setSoTimeout((int) plan.read().toMillis());
                if (plan.proxy().isPresent() && Urls.isSecure(plan.uri())) {
                    tunnel(plan.proxy().get());
                }
                return;
            } catch (ProxyException e) {
                throw e;
            } catch (IOException e) {
                problem = e;
                again();
            }
        }
        if (plan.proxy().isPresent()) {
            throw new IOException(
                    "the proxy " + plan.proxy().get() + " cannot be reached: " + problem.getMessage()
                            + "; check the setting proxy",
                    problem);
        }
        throw problem;
    }

    private synchronized void again() throws IOException {
        socket.close();
        if (isClosed) {
            throw new ConnectException("closed");
        }
        socket = new Socket(Proxy.NO_PROXY);
    }

    private void tunnel(Proxies.Server proxy) throws IOException {
        Map<String, String> headers = new LinkedHashMap<>();
        String server = Urls.host(plan.uri());
        String peer = (server.indexOf(':') < 0 ? server : "[" + server + "]") + ":" + Urls.port(plan.uri());
        headers.put("Host", peer);
        headers.put("User-Agent", Http.USER_AGENT);
        proxy.authorization().ifPresent(value -> headers.put("Proxy-Authorization", value));
        socket.getOutputStream().write(head("CONNECT " + peer, headers, new byte[0]));
        // Nothing is read ahead: what follows the empty line belongs to TLS.
        int status = new AnswerReader(socket.getInputStream()).head().status();
        if (status != 200) {
            throw new ProxyException(proxy, status);
        }
    }

    private Socket secured() throws IOException {
        String host = Urls.host(plan.uri());
        Tls.Sockets sockets = plan.sockets().get();
        SSLSocket secure = sockets.above(socket, host, Urls.port(plan.uri()));
        sockets.shakeHands(secure, host, Urls.port(plan.uri()));
        return secure;
    }

    private static String authority(URI uri) {
        return uri.getRawAuthority().substring(uri.getRawAuthority().lastIndexOf('@') + 1);
    }

    private static byte[] head(String start, Map<String, String> headers, byte[] body) throws IOException {
        StringBuilder text = new StringBuilder(start).append(" HTTP/1.1\r\n");
        for (Map.Entry<String, String> header : headers.entrySet()) {
            if ((header.getKey() + header.getValue()).chars().anyMatch(one -> one < ' ' || one > 0xff)) {
                throw new IOException("expected headers of one line, found one that is none: " + header.getKey());
            }
            text.append(header.getKey()).append(": ").append(header.getValue()).append("\r\n");
        }
        byte[] head = text.append("\r\n").toString().getBytes(StandardCharsets.ISO_8859_1);
        byte[] all = new byte[head.length + body.length];
        System.arraycopy(head, 0, all, 0, head.length);
        System.arraycopy(body, 0, all, head.length, body.length);
        return all;
    }

    /** Ends whatever is being done; may be called by another thread. */
    @Override
    public void close() {
        synchronized (this) {
            isClosed = true;
        }
        try {
            // Not the TLS above it: that would wait for its turn to say goodbye.
            socket.close();
        } catch (IOException e) {
            // It is of no use any more, which is what was wanted.
            return;
        }
    }
}
