// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;

/** Tests of the page in a real browser. Where there is none they are reported as skipped. */
abstract class InBrowser {
    // The browser's last writes may come after its end; what is left in the temporary folder harms nobody.
    @TempDir(cleanup = CleanupMode.NEVER)
    Path folder;

    Service service;
    Chromium browser;

    @BeforeEach
    void startBrowser() throws Exception {
        assumeTrue(
                Chromium.program().isPresent(),
                "no Chromium here: install the Debian package chromium to run the tests of the page");
        browser = Chromium.open(Chromium.program().orElseThrow(), folder.resolve("profile"));
    }

    @AfterEach
    void stop() throws Exception {
        if (browser != null) {
            browser.close();
        }
        if (service != null) {
            service.close();
        }
    }
}
