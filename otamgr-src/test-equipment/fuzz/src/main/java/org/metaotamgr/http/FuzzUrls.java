// SPDX-License-Identifier: MIT
package org.metaotamgr.http;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import org.metaotamgr.fuzz.Input;

/** A redirect goes to a URL of http or https that can be written into a request, or nowhere. */
public final class FuzzUrls {
    private static final URI FROM = URI.create("https://updates.example.com:8443/a/b?c=d");

    private FuzzUrls() {}

    public static void fuzzerTestOneInput(byte[] data) {
        String text = new Input(data).restAsText();
        Optional<URI> to = Urls.resolve(FROM, text);
        if (to.isPresent()) {
            URI uri = to.get();
            Input.require(uri.getScheme().equals("http") || uri.getScheme().equals("https"), "a scheme: " + uri);
            Input.require(
                    !Urls.host(uri).isEmpty() && Urls.port(uri) >= 0 && Urls.port(uri) <= 65_535, "a place: " + uri);
            Input.require(uri.getRawPath().startsWith("/") && uri.getRawUserInfo() == null, "a path: " + uri);
            Input.require(
                    uri.toString().chars().allMatch(one -> one > ' ' && one < 0x7f), "ASCII without blanks: " + uri);
            Input.require(!(uri.getRawPath() + "/").contains("/../"), "no steps up: " + uri);
            Input.require(Urls.resolve(FROM, uri.toString()).equals(to), "the same when it is read again: " + uri);
        }
        String segment = Urls.segment(text);
        Input.require(
                segment.chars().allMatch(one -> one > ' ' && one < 0x7f && "/?#".indexOf(one) < 0),
                "one step: " + segment);
        Input.require(
                java.net.URLDecoder.decode(segment.replace("+", "%2B"), StandardCharsets.UTF_8)
                        .equals(new String(text.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8)),
                "the same when it is decoded");
    }
}
