// SPDX-License-Identifier: MIT
package org.metaotamgr.simulator;

import java.io.IOException;
import java.io.InputStream;
import java.util.Locale;
import java.util.Properties;

/**
 * An update that is offered; a properties file with exactly these keys.
 *
 * @param version for people
 * @param image file name of the image, beside the description
 * @param header file name of the header, beside the description
 * @param imageSha256 64 lower case hexadecimal digits
 * @param headerSha256 64 lower case hexadecimal digits
 */
public record UpdateDescription(String version, String image, String header, String imageSha256, String headerSha256) {
    private static final int SHA256_DIGITS = 64;

    /**
     * Reads a description.
     *
     * @param in the properties
     * @return the description
     * @throws IOException if it cannot be read, a key is missing or a value is not acceptable
     */
    static UpdateDescription read(InputStream in) throws IOException {
        Properties properties = new Properties();
        try {
            properties.load(in);
        } catch (IllegalArgumentException e) {
            throw new IOException("the update description is no properties file: " + e.getMessage(), e);
        }
        return new UpdateDescription(
                value(properties, "version"),
                fileName(properties, "image"),
                fileName(properties, "header"),
                sha256(properties, "imageSha256"),
                sha256(properties, "headerSha256"));
    }

    private static String value(Properties properties, String key) throws IOException {
        String value = properties.getProperty(key, "").trim();
        if (value.isEmpty()) {
            throw new IOException("the update description has no value for \"" + key
                    + "\"; needed are version, image, header, imageSha256 and headerSha256");
        }
        return value;
    }

    private static String fileName(Properties properties, String key) throws IOException {
        String name = value(properties, key);
        if (name.indexOf('/') >= 0 || name.equals("..")) {
            throw new IOException("\"" + key + "\" in the update description must be the name of a file beside it, \""
                    + name + "\" is not");
        }
        return name;
    }

    private static String sha256(Properties properties, String key) throws IOException {
        String digits = value(properties, key).toLowerCase(Locale.ROOT);
        boolean hex = digits.length() == SHA256_DIGITS;
        for (int i = 0; hex && i < digits.length(); i++) {
            hex = Character.digit(digits.charAt(i), 16) >= 0;
        }
        if (!hex) {
            throw new IOException("\"" + key + "\" in the update description must be " + SHA256_DIGITS
                    + " hexadecimal digits, it is \"" + digits + "\"");
        }
        return digits;
    }
}
