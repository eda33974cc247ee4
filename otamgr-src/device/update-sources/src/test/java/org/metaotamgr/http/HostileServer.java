// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** A server that answers so that clients fill their memory, or wait for ever; what it does is the path of the request. */
final class HostileServer implements AutoCloseable {
    /** All that it does. */
    static final List<String> ANSWERS = List.of(
            "headers",
            "oneheader",
            "statusline",
            "continue",
            "chunkext",
            "chunkhuge",
            "chunkneg",
            "trailers",
            "endless",
            "long",
            "neg",
            "two",
            "slow",
            "slowhead",
            "silent",
            "http09",
            "redirloop",
            "redirother",
            "redirfile",
            "redirjar",
            "redircrlf",
            "auth401",
            "status",
            "status9",
            "retry",
            "setcookie",
            "manyheaders",
            "tinychunks",
            "chunkzeros",
            "folded",
            "nolf",
            "json-arr",
            "json-obj",
            "json-num",
            "json-str",
            "json-key",
            "json-deep",
            "json-digits",
            "json-same",
            "both",
            "encoded",
            "unasked206",
            "multipart",
            "notmodified",
            "switching",
            "nulheader",
            "chunkplus",
            "chunkspace",
            "chunkhex",
            "noloc",
            "badport",
            "bareheader",
            "early",
            "crsmuggle",
            "gzipbomb",
            "lower");

    private static final int LONGEST_SECONDS = 25;

    private final Connections connections = new Connections(this::answer);
    private final String junk = "x".repeat(1000);

    HostileServer() throws IOException {}

    URI uri() {
        return URI.create("http://127.0.0.1:" + connections.port() + "/");
    }

    @Override
    public void close() throws IOException {
        connections.close();
    }

    private void answer(Socket client) throws IOException, InterruptedException {
        String request = Connections.head(client.getInputStream());
        if (request.isEmpty()) {
            return;
        }
        OutputStream out = client.getOutputStream();
        String ok = "HTTP/1.1 200 OK\r\n";
        String chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";
        String name = request.substring(request.indexOf("/") + 1, request.indexOf(" HTTP/"));
        switch (name) {
            case "headers" -> endless(out, ok, "X-%d: " + junk + "\r\n", 0);
            case "oneheader" -> endless(out, ok + "X: ", junk, 0);
            case "statusline" -> endless(out, "HTTP/1.1 200 ", junk, 0);
            case "continue" -> endless(out, "", "HTTP/1.1 100 Continue\r\n\r\n".repeat(100), 0);
            case "chunkext" -> endless(out, chunked, "1;" + junk.repeat(50) + "\r\na\r\n", 0);
            case "chunkhuge" -> endless(out, chunked + "ffffffffffffffff\r\n", junk, 0);
            case "chunkneg" -> endless(out, chunked + "-5\r\nabcde\r\n0\r\n\r\n", "", 1000);
            case "trailers" -> endless(out, chunked + "1\r\na\r\n0\r\n", "X-%d: " + junk + "\r\n", 0);
            case "endless" -> endless(out, ok + "\r\n", junk.repeat(50), 0);
            case "long" -> write(out, ok + "Content-Length: 99999999999999999999\r\n\r\n" + junk);
            case "neg" -> write(out, ok + "Content-Length: -1\r\n\r\n" + junk);
            case "two" -> write(out, ok + "Content-Length: 5\r\nContent-Length: 500\r\n\r\n" + junk);
            case "slow" -> endless(out, ok + "Content-Length: 1000\r\n\r\n", "x", 1000);
            case "slowhead" -> endless(out, "", "H", 1000);
            case "silent" -> endless(out, "", "", 1000);
            case "http09" -> write(out, "hello".repeat(1000));
            case "redirloop" -> write(out, "HTTP/1.1 302 x\r\nLocation: /redirloop\r\nContent-Length: 0\r\n\r\n");
            case "redirother" -> write(
                    out,
                    "HTTP/1.1 302 x\r\nLocation: http://localhost:" + connections.port()
                            + "/other\r\nContent-Length: 0\r\n\r\n");
            case "other" -> write(
                    out, ok + "Content-Length: " + (request.indexOf("SECRET") < 0 ? "2\r\n\r\nok" : "6\r\n\r\nSECRET"));
            case "redirfile" -> write(
                    out, "HTTP/1.1 302 x\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
            case "redirjar" -> write(
                    out, "HTTP/1.1 302 x\r\nLocation: jar:" + uri() + "x!/y\r\nContent-Length: 0\r\n\r\n");
            case "redircrlf" -> write(out, "HTTP/1.1 302 x\r\nLocation: /a%0d%0aX:y\r\nContent-Length: 0\r\n\r\n");
            case "auth401" -> write(
                    out,
                    "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"x\u001b[31m\"\r\nContent-Length: 0\r\n\r\n");
            case "status" -> write(out, "HTTP/1.1 -99 x\r\n\r\n");
            case "status9" -> write(out, "HTTP/1.1 99999999999 x\r\n\r\n");
            case "retry" -> write(out, "HTTP/1.1 503 x\r\nRetry-After: 999999999\r\nContent-Length: 0\r\n\r\n");
            case "setcookie" -> write(
                    out, ok + "Set-Cookie: a=b\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok");
            case "manyheaders" -> write(out, ok + "a:\r\n".repeat(20_000) + "\r\n");
            case "tinychunks" -> endless(out, chunked, "1\r\na\r\n".repeat(1000), 0);
            case "chunkzeros" -> endless(out, chunked, "0".repeat(1000), 0);
            case "folded" -> endless(out, ok + "X: a\r\n", " a\r\n".repeat(1000), 0);
            case "nolf" -> endless(out, ok, "a\r".repeat(1000), 0);
            case "json-arr" -> json(out, "[],");
            case "json-obj" -> json(out, "{},");
            case "json-num" -> json(out, "1,");
            case "json-str" -> json(out, "\"\",");
            case "json-key" -> write(out, body("{" + keys() + "\"z\":1}"));
            case "json-deep" -> write(out, body("{\"a\":" + "[".repeat(500_000)));
            case "json-digits" -> write(out, body("{\"a\":" + "1".repeat(1_000_000) + "}"));
            case "json-same" -> write(
                    out,
                    body("{\"_links\":{\"deploymentBase\":{\"href\":\"" + "/deploymentBase/1?&c=1".repeat(40_000)
                            + "\\n\"}}}"));
                // Two ideas of where it ends.
            case "both" -> write(
                    out, ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
            case "encoded" -> write(out, ok + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n");
            case "unasked206" -> write(
                    out, "HTTP/1.1 206 x\r\nContent-Range: bytes 5-6/10\r\nContent-Length: 2\r\n\r\n{}");
            case "multipart" -> write(
                    out,
                    "HTTP/1.1 206 x\r\nContent-Type: multipart/byteranges; boundary=b\r\nContent-Length: 2\r\n\r\n{}");
            case "notmodified" -> write(out, "HTTP/1.1 304 x\r\nContent-Length: 2\r\n\r\n{}");
            case "switching" -> write(out, "HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n{}");
            case "nulheader" -> write(out, ok + "Content\u0000-Length: 2\r\nContent-Length: 2\u0000\r\n\r\n{}");
            case "chunkplus" -> write(out, chunked + "+2\r\n{}\r\n0\r\n\r\n");
            case "chunkspace" -> write(out, chunked + " 2\r\n{}\r\n0\r\n\r\n");
            case "chunkhex" -> write(out, chunked + "0x2\r\n{}\r\n0\r\n\r\n");
            case "noloc" -> write(out, "HTTP/1.1 302 x\r\nContent-Length: 2\r\n\r\n{}");
            case "badport" -> write(
                    out, "HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:99999/\r\nContent-Length: 0\r\n\r\n");
            case "bareheader" -> write(out, ok + "Content-Length\r\nContent-Length: 2\r\n\r\n{}");
            case "early" -> {
                write(out, ok + "Content-Length: 20\r\n\r\n{}");
                client.shutdownOutput();
            }
            case "crsmuggle" -> write(out, ok + "X: a\rContent-Length: 2\r\nContent-Length: 20\r\n\r\n{}");
            case "gzipbomb" -> write(
                    out, ok + "Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + "\u001f\u008b" + "x".repeat(18));
            case "lower" -> write(out, "http/1.1 200 ok\r\ncontent-length: 2\r\n\r\n{}");
            default -> write(out, ok + "Content-Length: 2\r\n\r\nok");
        }
    }

    private static String keys() {
        StringBuilder keys = new StringBuilder();
        for (int i = 0; keys.length() < 1_000_000; i++) {
            keys.append('"').append(Integer.toString(i, 36)).append("\":1,");
        }
        return keys.toString();
    }

    private static void json(OutputStream out, String element) throws IOException {
        write(out, body("{\"a\":[" + element.repeat((1 << 20) / element.length() - 10) + "1]}"));
    }

    private static String body(String text) {
        return "HTTP/1.1 200 OK\r\nContent-Length: " + text.length() + "\r\n\r\n" + text;
    }

    private static void write(OutputStream out, String text) throws IOException {
        out.write(text.getBytes(StandardCharsets.ISO_8859_1));
        out.flush();
    }

    private static void endless(OutputStream out, String first, String unit, long pauseMillis)
            throws IOException, InterruptedException {
        write(out, first);
        long end = System.nanoTime() + LONGEST_SECONDS * 1_000_000_000L;
        for (int i = 0; System.nanoTime() < end; i++) {
            write(out, unit.contains("%d") ? unit.replace("%d", Integer.toString(i)) : unit);
            if (pauseMillis > 0) {
                Thread.sleep(pauseMillis);
            }
        }
    }
}
