// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.metaotamgr.simulator.HubbyDownload;

/** What the page says and does. */
@DisplayName("The page in a headless Chromium")
class PageTest extends InBrowser {

    @BeforeEach
    void startService() throws Exception {
        service = new Service(Service.settings(folder));
    }

    private void open() throws Exception {
        browser.go(URI.create(service.simulator.uri() + "/"));
        browser.await("document.getElementById('link') && document.getElementById('link').textContent === 'live'");
    }

    private String text(String selector) throws Exception {
        return browser.evaluate(
                        "[...document.querySelectorAll('" + selector + "')].map(node => node.textContent).join(' | ')")
                .asText();
    }

    private static String rowOf(String device) {
        return "[...document.querySelectorAll('#devices tbody tr')].find(row => row.dataset.device === '" + device
                + "')";
    }

    @Test
    @DisplayName(
            "follows an update live: pushed, downloading, installing, installed in the other slot, without a reload")
    void live() throws Exception {
        ObjectNode image = service.image("1.0.7", new byte[2_000_000]);
        open();
        assertTrue(
                text("#images tbody td").contains("1.0.7")
                        && text("#images tbody td").contains("ready"),
                text("#images tbody td"));
        browser.evaluate("window.sameDocument = true");
        service.push(image, "device-00001");
        browser.await(rowOf("device-00001") + ".cells[4].textContent === 'offered'");
        HubbyDownload hubby = service.hubby("device-00001");
        hubby.download(hubby.poll().orElseThrow(), folder.resolve("ota_type_5"));
        browser.await(rowOf("device-00001") + ".cells[4].textContent === 'downloading' && " + rowOf("device-00001")
                + ".querySelector('progress').value === 100");
        hubby.report("write", 42, "slot b");
        browser.await(rowOf("device-00001") + ".cells[4].textContent === 'installing' && " + rowOf("device-00001")
                + ".querySelector('progress').value === 42");
        browser.screenshot(Path.of("target/page-installing.png"));
        hubby.installed("1.0.7", "b");
        browser.await(rowOf("device-00001") + ".cells[4].textContent === 'installed' && " + rowOf("device-00001")
                + ".cells[1].textContent === 'b'");
        assertTrue(
                text("#devices tbody tr:first-child td")
                        .contains("1.0.7 · " + image.path("versionNumber").asText()),
                text("#devices tbody tr:first-child td"));
        assertTrue(text("#summary span").contains("1 installed"), text("#summary span"));
        assertTrue(browser.evaluate("window.sameDocument").asBoolean(), "never loaded again");
    }

    @Test
    @DisplayName("shows what clients wrote as text, never as markup, and loads nothing from anywhere else")
    void harmless() throws Exception {
        service.create("<img src=x onerror=boom()>", "<b>1</b>");
        open();
        assertTrue(text("#images tbody td").contains("<img src=x onerror=boom()> | "), text("#images tbody td"));
        assertEquals(
                0,
                browser.evaluate("document.querySelectorAll('img, b').length").asInt());
        String loaded = browser.evaluate("performance.getEntriesByType('resource').map(entry => entry.name).join(' ')")
                .asText();
        for (String address : loaded.split(" ")) {
            assertTrue(address.startsWith(service.simulator.uri().toString()), loaded);
        }
        String markup = browser.evaluate("document.documentElement.outerHTML").asText();
        assertFalse(markup.contains(Service.CREDENTIALS.userpw())
                || markup.contains(Service.CREDENTIALS.clientSecret())
                || markup.contains(service.token()));
    }

    @Test
    @DisplayName("stays usable with ten thousand devices: shows two hundred, counts all, and finds one by its id")
    void manyDevices() throws Exception {
        service.simulator.addDevices(
                Service.DEVICE_TYPE,
                IntStream.rangeClosed(1, 10_000)
                        .mapToObj(number -> String.format("fleet-%05d", number))
                        .toList());
        open();
        browser.await("document.querySelectorAll('#devices tbody tr').length === 200");
        assertTrue(text("#shown").contains("200 of 10003"), text("#shown"));
        browser.evaluate(
                "const box = document.getElementById('filter'); box.value = 'fleet-09876'; box.dispatchEvent(new Event('input'))");
        browser.await("document.querySelectorAll('#devices tbody tr').length === 1");
        assertEquals(
                "fleet-09876",
                browser.evaluate("document.querySelector('#devices tbody td').textContent")
                        .asText());
    }

    @Test
    @DisplayName("tells when the service is gone, and lists faults that are on")
    void gone() throws Exception {
        service.simulator.addFault("500:push@1");
        open();
        assertTrue(text("#faults").contains("500:push@1"), text("#faults"));
        service.close();
        browser.await("document.getElementById('link').className === 'lost'");
        assertEquals(List.of("service not reached, trying again"), List.of(text("#link")));
    }
}
