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

/** Where hubby looks for updates: a description and, beside it, the files which it names. */
interface UpdateSource {
    /** Name of the description in a directory. */
    String DESCRIPTION = "update.properties";

    /**
     * Opens the description.
     *
     * @return null if none is offered
     */
    InputStream description() throws IOException;

    /** Opens a file that a description names. */
    InputStream open(String name) throws IOException;

    /** A directory with a file {@value #DESCRIPTION} in it. */
    record Directory(Path directory) implements UpdateSource {
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
    record Web(URI address) implements UpdateSource {
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
}
