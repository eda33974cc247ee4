// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Every call that the service knows. A segment in braces matches any one segment of a path. */
enum Route {
    TOKEN("POST", "/oauth/token"),
    EXISTS("GET", "/v1/ota/partners/{partner}/pool/types/{type}/names/{name}/versions/{version}/exists"),
    CREATE("POST", "/v1/ota/partners/{partner}/pool"),
    POOL("GET", "/v1/ota/partners/{partner}/pool"),
    POOL_TYPE("GET", "/v1/ota/partners/{partner}/pool/types/{type}"),
    UPDATE("PUT", "/v1/ota/partners/{partner}/pool/types/{type}/versionNumbers/{number}"),
    ASSOCIATIONS("GET", "/v1/ota/partners/{partner}/pool/types/{type}/versionNumbers/{number}/associations"),
    UPLOAD("POST", "/v1/ota/partners/{partner}/binaries"),
    MOVE("POST", "/v1/ota/partners/{partner}/binaries/moveToRepository"),
    ASSOCIATE("POST", "/v1/ota/partners/{partner}/deviceTypes/{deviceType}/firmwareImages"),
    IMAGES("GET", "/v1/ota/partners/{partner}/deviceTypes/{deviceType}/firmwareImages"),
    IMAGES_TYPE("GET", "/v1/ota/partners/{partner}/deviceTypes/{deviceType}/firmwareImages/types/{type}"),
    IMAGE(
            "GET",
            "/v1/ota/partners/{partner}/deviceTypes/{deviceType}/firmwareImages/types/{type}/versionNumbers/{number}"),
    DISSOCIATE(
            "DELETE",
            "/v1/ota/partners/{partner}/deviceTypes/{deviceType}/firmwareImages/types/{type}/versionNumbers/{number}"),
    PUSH("PUT", "/v1/ota/partners/{partner}/deviceTypes/{deviceType}/firmwareImages/{image}/push"),
    TAGS("GET", "/v1/ota/partners/{partner}/tags"),
    TYPES("GET", "/v1/ota/partners/{partner}/types"),
    CREATE_TYPE("POST", "/v1/ota/partners/{partner}/types"),
    TYPE("GET", "/v1/ota/partners/{partner}/types/{type}"),
    RENAME_TYPE("PUT", "/v1/ota/partners/{partner}/types/{type}"),
    ME("GET", "/v1/users/me"),
    DEVICES("GET", "/v1/accounts/{account}/devices"),
    DEVICE("GET", "/v1/accounts/{account}/devices/{device}"),
    REPOSITORY("GET", "/repository/{sha}"),
    HUBBY_KEY("GET", "/hubby/public-key.pem"),
    POLL("GET", "/hubby/{device}/update.properties"),
    REPORT("POST", "/hubby/{device}/report"),
    INSTALLED("POST", "/hubby/{device}/installed"),
    DOWNLOAD("GET", "/hubby/{device}/{file}"),
    PAGE("GET", "/"),
    PAGE_STATE("GET", "/simulator/state"),
    FAULTS("POST", "/simulator/faults");

    private final String method;
    private final List<String> pattern;

    Route(String method, String path) {
        this.method = method;
        this.pattern = List.of(path.substring(1).split("/", -1));
    }

    record Match(Route route, List<String> parameters) {
        String parameter(String name) {
            int index = 0;
            for (String segment : route.pattern) {
                if (segment.equals("{" + name + "}")) {
                    return parameters.get(index);
                }
                index += segment.startsWith("{") ? 1 : 0;
            }
            throw new IllegalArgumentException(route + " has no " + name);
        }
    }

    String word() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** Whether the call is part of the service's REST interface. */
    boolean rest() {
        return ordinal() <= DEVICE.ordinal();
    }

    static Optional<Route> byWord(String word) {
        return List.of(values()).stream()
                .filter(route -> route.word().equals(word))
                .findFirst();
    }

    static List<String> words() {
        return List.of(values()).stream().map(Route::word).toList();
    }

    /**
     * Finds the call for a path. Literal segments win over braces, because literal routes come first above.
     *
     * @throws ApiException 400 for a path that does not decode, 404 for an unknown one, 405 for the wrong method
     */
    static Match match(String method, String rawPath) throws ApiException {
        List<String> segments = List.of(rawPath.substring(1).split("/", -1));
        boolean pathKnown = false;
        for (Route route : values()) {
            if (route.matches(segments)) {
                pathKnown = true;
                if (route.method.equals(method)
                        || route.method.equals("GET") && method.equals("HEAD")
                        || method.equals("PUT") && (route == REPORT || route == INSTALLED)) {
                    List<String> parameters = new ArrayList<>();
                    for (int i = 0; i < segments.size(); i++) {
                        if (route.pattern.get(i).startsWith("{")) {
                            parameters.add(UrlCoding.decodeSegment(segments.get(i)));
                        }
                    }
                    return new Match(route, parameters);
                }
            }
        }
        if (pathKnown) {
            throw new ApiException(405, "method_not_allowed", "Request method '" + method + "' not supported");
        }
        throw ApiException.notFound("No such path");
    }

    private boolean matches(List<String> segments) {
        if (segments.size() != pattern.size()) {
            return false;
        }
        for (int i = 0; i < segments.size(); i++) {
            String wanted = pattern.get(i);
            if (wanted.startsWith("{") ? segments.get(i).isEmpty() : !wanted.equals(segments.get(i))) {
                return false;
            }
        }
        return true;
    }
}
