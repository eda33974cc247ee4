// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Something that goes wrong on purpose, written {@code KIND[=VALUE][:ROUTE][@FIRST[-LAST]]}: what happens, to which calls,
 * and to the how-manieth of them. Without {@code @} it happens to every matching call.
 */
record Fault(String text, Kind kind, int value, String route, int first, int last) {

    static final String SYNTAX = "KIND[=VALUE][:ROUTE][@FIRST[-LAST]]";

    private static final Pattern FORM = Pattern.compile(
            "([a-z-]+|[45][0-9][0-9])(?:=([0-9]{1,7}))?(?::([a-z-]+))?(?:@([0-9]{1,9})(?:-([0-9]{1,9}))?)?");

    enum Kind {
        /** Answers with this status and an error object; 401 and the like are written as the plain number. */
        STATUS(null, 400, 599),
        /** Answers with this status and a page of HTML, as a gateway in between would. */
        HTML(502, 400, 599),
        /** Answers with this status and no body. */
        EMPTY(502, 400, 599),
        /** Waits this many milliseconds before the call is looked at. */
        SLOW(2000, 1, 600_000),
        /** Drops the connection after this percentage of the request's body (upload) or of the answer's body (download). */
        CUT(50, 0, 100),
        /** Does what was asked, then drops the connection instead of answering. */
        CUT_REPLY(0, 0, 0),
        /** Tells a SHA-256 that is not the one of the bytes: after an upload, and in the description that a device polls. */
        WRONG_SHA(0, 0, 0),
        /** All access tokens expire just before the call. */
        EXPIRE_TOKEN(0, 0, 0),
        /** Answers an update of a record with success and does not store the URL. */
        FORGET_URL(0, 0, 0);

        private final Integer standard;
        private final int lowest;
        private final int highest;

        Kind(Integer standard, int lowest, int highest) {
            this.standard = standard;
            this.lowest = lowest;
            this.highest = highest;
        }

        private String word() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    static Fault parse(String text) {
        Matcher form = FORM.matcher(text);
        if (!form.matches()) {
            throw new IllegalArgumentException("fault: expected " + SYNTAX + ", found " + text);
        }
        boolean status = Character.isDigit(form.group(1).charAt(0));
        Kind kind = status ? Kind.STATUS : kind(form.group(1));
        OptionalInt given = status
                ? OptionalInt.of(Integer.parseInt(form.group(1)))
                : form.group(2) == null ? OptionalInt.empty() : OptionalInt.of(Integer.parseInt(form.group(2)));
        if (status && form.group(2) != null || kind == Kind.STATUS && given.isEmpty()) {
            throw new IllegalArgumentException(
                    "fault: a status is written as the number alone, for example 500:create; found " + text);
        }
        int value = given.orElseGet(() -> kind.standard);
        if (value < kind.lowest || value > kind.highest) {
            throw new IllegalArgumentException("fault: value of " + kind.word() + ": expected " + kind.lowest + " to "
                    + kind.highest + ", found " + value);
        }
        String route = form.group(3) != null ? form.group(3) : standardRoute(kind, value);
        if (!route.equals("any") && Route.byWord(route).isEmpty()) {
            throw new IllegalArgumentException(
                    "fault: route: expected any or one of " + Route.words() + ", found " + route);
        }
        int first = form.group(4) == null ? 1 : Integer.parseInt(form.group(4));
        int last = form.group(4) == null
                ? Integer.MAX_VALUE
                : form.group(5) == null ? first : Integer.parseInt(form.group(5));
        if (first < 1 || last < first) {
            throw new IllegalArgumentException(
                    "fault: expected calls counted from 1, first before last, found " + text);
        }
        return new Fault(text, kind, value, route, first, last);
    }

    private static Kind kind(String word) {
        return List.of(Kind.values()).stream()
                .filter(kind -> kind.word().equals(word))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("fault: kind: expected a status such as 500 or one of "
                        + List.of(Kind.values()).stream()
                                .filter(kind -> kind != Kind.STATUS)
                                .map(Kind::word)
                                .toList() + ", found " + word));
    }

    /** Where a fault happens when nobody says: at the call for which it is typical. */
    private static String standardRoute(Kind kind, int value) {
        return switch (kind) {
            case STATUS -> value == 409 ? Route.ASSOCIATE.word() : "any";
            case HTML, EMPTY, SLOW, CUT_REPLY, EXPIRE_TOKEN -> "any";
            case CUT, WRONG_SHA -> Route.UPLOAD.word();
            case FORGET_URL -> Route.UPDATE.word();
        };
    }

    /** {@code any} stands for the REST interface, not for what devices and the page ask. */
    boolean concerns(Route call) {
        return route.equals("any") ? call.rest() : call.word().equals(route);
    }
}
