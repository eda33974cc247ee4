// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

/** A call that is answered with an error status. */
final class ApiException extends Exception {

    private static final long serialVersionUID = 1;

    private final int status;
    private final String code;

    ApiException(int status, String code, String description) {
        super(description, null, false, false);
        this.status = status;
        this.code = code;
    }

    int status() {
        return status;
    }

    String code() {
        return code;
    }

    static ApiException badRequest(String description) {
        return new ApiException(400, "bad_request", description);
    }

    static ApiException notFound(String description) {
        return new ApiException(404, "not_found", description);
    }

    static ApiException conflict(String description) {
        return new ApiException(409, "conflict", description);
    }
}
