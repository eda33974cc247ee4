// SPDX-License-Identifier: MIT
package org.metaotamgr.attribute;

import java.io.File;

/**
 * junixsocket's native library. Unless told where it is, junixsocket unpacks it from its jar into the directory for
 * temporary files, which costs time and memory at every start and fails where that is read-only or noexec.
 */
final class NativeLibrary {
    /** System property that names the library to use in place, an absolute path. */
    static final String PROPERTY = "org.newsclub.net.unix.library.override";

    private NativeLibrary() {}

    /**
     * Looks whether the library will be used in place.
     *
     * @return what is wrong and what to do about it, or null if all is well
     */
    static String problem() {
        String path = System.getProperty(PROPERTY);
        if (path == null) {
            return "system property " + PROPERTY + " is not set: junixsocket unpacks its native library into "
                    + System.getProperty("java.io.tmpdir") + "; start java with -D" + PROPERTY
                    + "=<absolute path of libjunixsocket-native-….so>";
        }
        File library = new File(path);
        if (!library.isAbsolute() || !library.canRead()) {
            return "system property " + PROPERTY + " says \"" + path + "\", which is "
                    + (library.isAbsolute() ? "no readable file" : "no absolute path")
                    + ": junixsocket may fall back to unpacking its native library into "
                    + System.getProperty("java.io.tmpdir");
        }
        return null;
    }
}
