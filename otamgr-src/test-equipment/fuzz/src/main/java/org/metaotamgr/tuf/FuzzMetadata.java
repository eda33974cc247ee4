// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import org.metaotamgr.fuzz.Input;

/** Metadata of TUF that nobody has signed is read or refused, in bounded memory. */
public final class FuzzMetadata {
    private FuzzMetadata() {}

    public static void fuzzerTestOneInput(byte[] data) {
        Input input = new Input(data);
        int kind = input.next() % 4;
        byte[] content = input.rest();
        try {
            switch (kind) {
                case 0 -> MetadataReader.root("root.json", content);
                case 1 -> MetadataReader.timestamp("timestamp.json", content);
                case 2 -> MetadataReader.snapshot("snapshot.json", content);
                default -> MetadataReader.targets("targets.json", content);
            }
        } catch (TufException e) {
            Input.require(e.getMessage() != null, "a reason");
        }
    }
}
