// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

/** How a command ends. 0 is success and nothing else is. */
public enum ExitStatus {
    /** Done, or it was done already and that was checked. */
    SUCCESS(0, "success"),
    /** A defect of the tool itself. */
    DEFECT(1, "defect"),
    /** The command line is wrong; nothing was done. */
    USAGE(2, "usage"),
    /** The configuration is wrong; nothing was asked of the service. */
    CONFIGURATION(3, "configuration"),
    /** The service does not accept the account, or the account may not do this. */
    AUTHORISATION(4, "authorisation"),
    /** What the command needs is not there, or is there already. */
    CONFLICT(5, "conflict"),
    /** The service answered with an error or with something that was not expected. */
    SERVICE(6, "service"),
    /** The service could not be reached, or did not answer in time. */
    NETWORK(7, "network"),
    /** A local file or BitBake cannot be used. */
    LOCAL(8, "local"),
    /** Some of several devices did not get the image. */
    PARTIAL(9, "partial"),
    /** A log is not the one that its device wrote. */
    ALTERED(10, "altered");

    private final int code;
    private final String word;

    ExitStatus(int code, String word) {
        this.code = code;
        this.word = word;
    }

    /**
     * The number that a shell sees.
     *
     * @return 0 to 10
     */
    public int code() {
        return code;
    }

    String word() {
        return word;
    }
}
