// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

/**
 * One offer of an image to a device, and what became of it.
 *
 * @param phase what the device said last, for people
 * @param percent of that phase, 0 to 100
 */
record Push(String id, String imageId, String deviceId, long time, Outcome outcome, String phase, int percent) {

    enum Outcome {
        OFFERED("offered", true),
        DOWNLOADING("downloading", true),
        INSTALLING("installing", true),
        INSTALLED("installed", false),
        FAILED("failed", false),
        NOT_NEWER("refused, not newer", false),
        NO_URL("undeliverable, the image has no URL", false),
        REPLACED("replaced by a later push", false);

        private final String text;
        private final boolean open;

        Outcome(String text, boolean open) {
            this.text = text;
            this.open = open;
        }

        String text() {
            return text;
        }

        boolean open() {
            return open;
        }
    }

    Push with(Outcome newOutcome, String newPhase, int newPercent) {
        return new Push(id, imageId, deviceId, time, newOutcome, newPhase, newPercent);
    }
}
