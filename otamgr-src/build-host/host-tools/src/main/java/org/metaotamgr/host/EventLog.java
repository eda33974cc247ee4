// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The log of a device as {@code ota-why --export} wrote it, and whether it is the one that was written. docs/reference/log.md defines it.
 *
 * @param lines how many lines have a link
 * @param first the first link, empty without any
 * @param last the last link, empty without any
 * @param environment what the device's boot environment knew: a link, or a word
 * @param bound whether that link is in the log
 * @param remarks what is no sign of a change, but for people to know
 * @param findings what was changed, removed or moved; none means that nothing was
 */
record EventLog(
        int lines,
        Optional<Link> first,
        Optional<Link> last,
        String environment,
        boolean bound,
        List<String> remarks,
        List<String> findings) {

    private static final Pattern HEAD =
            Pattern.compile("otamgr-log 1 [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z bytes=(0|[1-9][0-9]{0,8})");
    private static final Pattern END =
            Pattern.compile("\notamgr-log-end environment=([a-z0-9:]{1,80})\nsha256=([0-9a-f]{64})\n");
    private static final Pattern LINKED = Pattern.compile("(.*) link=([1-9][0-9]{0,8}:[0-9a-f]{64})", Pattern.DOTALL);
    private static final Pattern CONTINUED =
            Pattern.compile("\\S+ log-continued after=((?:0|[1-9][0-9]{0,8}):[0-9a-f]{64})", Pattern.DOTALL);
    private static final Pattern GAP = Pattern.compile("(\\S+) log-gap expected=(.*)", Pattern.DOTALL);

    /**
     * What a line is linked by.
     *
     * @param number its place, from 1
     * @param sum SHA-256 in hexadecimal digits
     */
    record Link(int number, String sum) {
        static final Link BEGINNING = new Link(0, "0".repeat(64));

        /** The link that a text names, if it names one. */
        static Optional<Link> of(String text) {
            if (!text.matches("(0|[1-9][0-9]{0,8}):[0-9a-f]{64}")) {
                return Optional.empty();
            }
            int colon = text.indexOf(':');
            return Optional.of(new Link(Integer.parseInt(text.substring(0, colon)), text.substring(colon + 1)));
        }

        @Override
        public String toString() {
            return number + ":" + sum;
        }
    }

    EventLog {
        remarks = List.copyOf(remarks);
        findings = List.copyOf(findings);
    }

    boolean isWhole() {
        return findings.isEmpty();
    }

    /**
     * Verifies an export.
     *
     * @param export all bytes of it
     * @param kept a link that somebody noted before; the log must have it
     */
    static EventLog of(byte[] export, Optional<Link> kept) {
        List<String> findings = new ArrayList<>();
        // One character is one byte.
        String text = new String(export, StandardCharsets.ISO_8859_1);
        int eol = text.indexOf('\n');
        Matcher head = HEAD.matcher(eol < 0 ? text : text.substring(0, eol));
        if (!head.matches()) {
            return refused(
                    "the file does not begin as an export: expected \"otamgr-log 1 TIME bytes=NUMBER\"; make one with ota-why --export");
        }
        int size = Integer.parseInt(head.group(1));
        if (text.length() - eol - 1 < size) {
            return refused("the file is cut off: its first line tells of " + size + " bytes, "
                    + (text.length() - eol - 1) + " follow");
        }
        Matcher end = END.matcher(text.substring(eol + 1 + size));
        if (!end.matches()) {
            return refused("the file does not end as an export after the " + size
                    + " bytes that its first line tells of: bytes were added, removed or changed");
        }
        byte[] summed = java.util.Arrays.copyOf(export, eol + 1 + size + end.start(2) - "sha256=".length());
        if (!hex(sha256(summed)).equals(end.group(2))) {
            findings.add("the file's own sum is wrong: it was changed after the export");
        }
        return new Reader(java.util.Arrays.copyOfRange(export, eol + 1, eol + 1 + size), findings)
                .read(end.group(1), kept);
    }

    private static EventLog refused(String why) {
        return new EventLog(0, Optional.empty(), Optional.empty(), "unknown", false, List.of(), List.of(why));
    }

    private static byte[] sha256(byte[] bytes) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(bytes);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    private static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }

    /** Goes from line to line. After a link that does not fit it goes on from that link, so that all of them are told. */
    private static final class Reader {
        private final byte[] log;
        private final String text;
        private final List<String> findings;
        private final List<String> remarks = new ArrayList<>();
        private final List<Link> links = new ArrayList<>();
        private Link known = Link.BEGINNING;
        private Link before = Link.BEGINNING;
        private int covered;

        Reader(byte[] log, List<String> findings) {
            this.log = log;
            this.text = new String(log, StandardCharsets.ISO_8859_1);
            this.findings = findings;
        }

        EventLog read(String environment, Optional<Link> kept) {
            int number = 0;
            for (int at = 0; at < text.length(); ) {
                int eol = text.indexOf('\n', at);
                number++;
                // A power cut tore a line without an end, whatever it looks like.
                Matcher linked = LINKED.matcher(eol < 0 ? "" : text.substring(at, eol));
                if (linked.matches()) {
                    line(number, at, linked.group(1), Link.of(linked.group(2)).orElseThrow());
                    covered = eol + 1;
                }
                at = eol < 0 ? text.length() : eol + 1;
            }
            if (covered < text.length()) {
                findings.add((text.length() - covered)
                        + " bytes at the end have no link: lines were added, changed or cut, or a power cut"
                        + " tore the last one; the device's next line will tell which");
            }
            boolean bound = ask("the boot environment", environment, Link.of(environment));
            kept.ifPresent(link -> ask("who verifies", link.toString(), kept));
            return new EventLog(
                    links.size(),
                    links.stream().findFirst(),
                    links.isEmpty() ? Optional.empty() : Optional.of(known),
                    environment,
                    bound,
                    remarks,
                    findings);
        }

        private void line(int number, int at, String content, Link link) {
            Matcher continued = CONTINUED.matcher(content);
            if (continued.matches()) {
                Link after = Link.of(continued.group(1)).orElseThrow();
                if (links.isEmpty() && covered == at) {
                    before = after;
                    remarks.add("what came before link " + (after.number() + 1) + " is forgotten: the log is bounded");
                } else if (!after.equals(known) || covered != at) {
                    findings.add("line " + number + ": a new file continues link " + after.number() + ", found link "
                            + known.number() + (covered == at ? "" : " and lines without link") + " before it");
                }
                known = after;
                covered = at;
            }
            ByteArrayOutputStream linked = new ByteArrayOutputStream();
            linked.writeBytes((known + "\n").getBytes(StandardCharsets.ISO_8859_1));
            linked.write(log, covered, at - covered);
            linked.writeBytes(content.getBytes(StandardCharsets.ISO_8859_1));
            if (link.number() != known.number() + 1) {
                findings.add("line " + number + ": expected link " + (known.number() + 1) + ", found link "
                        + link.number() + ": lines were removed, added or moved");
            } else if (!hex(sha256(linked.toByteArray())).equals(link.sum())) {
                findings.add("line " + number + ": link " + link.number()
                        + " does not fit: this line was changed, or what is between it and link " + known.number());
            } else if (links.isEmpty() && covered < at) {
                remarks.add((at - covered) + " bytes were there before the first link; it covers them");
            }
            Matcher gap = GAP.matcher(content);
            if (gap.matches()) {
                findings.add("line " + number + ": at " + gap.group(1) + " the device itself missed link "
                        + gap.group(2) + ", which its boot environment knew: the log had been cut or replaced");
            }
            known = link;
            links.add(link);
        }

        private boolean ask(String who, String word, Optional<Link> link) {
            if (link.isEmpty()) {
                if (word.equals("none")) {
                    remarks.add(
                            "the boot environment knows no link yet: it gets one when an update is armed or committed");
                } else {
                    findings.add("the boot environment's link is " + word + ", expected NUMBER:SHA256 or none");
                }
                return false;
            }
            if (links.contains(link.get())) {
                return true;
            }
            if (link.get().equals(before)) {
                return true;
            }
            if (link.get().number() < before.number()) {
                remarks.add(who + " knows link " + link.get().number() + ", which is forgotten: the log is bounded");
                return false;
            }
            findings.add(who + " knows link " + link.get() + ", the log "
                    + (links.isEmpty() ? "has none" : "ends with link " + known.number())
                    + (link.get().number() > known.number() || links.isEmpty()
                            ? ": lines at the end were removed"
                            : ": it was replaced"));
            return false;
        }
    }
}
