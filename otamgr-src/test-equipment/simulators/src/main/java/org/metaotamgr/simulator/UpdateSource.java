// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Where hubby looks for updates. */
sealed interface UpdateSource {
    /** Name of the description in a directory. */
    String DESCRIPTION = "update.properties";

    /**
     * What is offered now.
     *
     * @return null if there is nothing
     */
    UpdateDescription offered() throws IOException;

    /** A source of plain files: a description and, beside it, the files which it names. Nothing is signed. */
    sealed interface PlainFiles extends UpdateSource {
        /**
         * Opens the description.
         *
         * @return null if none is offered
         */
        InputStream description() throws IOException;

        /** Opens a file that a description names. */
        InputStream open(String name) throws IOException;

        @Override
        default UpdateDescription offered() throws IOException {
            try (InputStream in = description()) {
                return in == null ? null : UpdateDescription.read(in);
            }
        }
    }

    /** A directory with a file {@value #DESCRIPTION} in it. */
    record Directory(Path directory) implements PlainFiles {
        @Override
        public InputStream description() throws IOException {
            try {
                return Files.newInputStream(directory.resolve(DESCRIPTION));
            } catch (NoSuchFileException e) {
                return null;
            }
        }

        @Override
        public InputStream open(String name) throws IOException {
            return Files.newInputStream(directory.resolve(name));
        }

        @Override
        public String toString() {
            return directory.resolve(DESCRIPTION).toString();
        }
    }

    /** The address of a description on a web server; the files are named relative to it. */
    record Web(URI address) implements PlainFiles {
        private static final int TIMEOUT_MILLIS = 20_000;

        @Override
        public InputStream description() throws IOException {
            try {
                return fetch(address);
            } catch (FileNotFoundException e) {
                return null;
            }
        }

        @Override
        public InputStream open(String name) throws IOException {
            return fetch(address.resolve(name));
        }

        private static InputStream fetch(URI from) throws IOException {
            URL url = from.toURL();
            HttpURLConnection connection = (HttpURLConnection) url.openConnection();
            connection.setConnectTimeout(TIMEOUT_MILLIS);
            connection.setReadTimeout(TIMEOUT_MILLIS);
            connection.setUseCaches(false);
            // Throws FileNotFoundException for 404 and IOException for every other refusal.
            return connection.getInputStream();
        }

        @Override
        public String toString() {
            return address.toString();
        }
    }

    /**
     * The simulated OTA service, for one device: downloads go on after a break, headers must be signed.
     *
     * @param hubby the device's side of the service
     * @param address for people
     */
    record Service(HubbyDownload hubby, String address) implements UpdateSource {
        @Override
        public UpdateDescription offered() throws IOException {
            return hubby.poll().orElse(null);
        }

        @Override
        public String toString() {
            return address;
        }
    }
}
