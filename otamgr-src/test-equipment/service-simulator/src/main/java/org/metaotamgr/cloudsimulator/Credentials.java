// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Objects;
import java.util.UUID;

/**
 * The one developer account that a simulated service knows.
 *
 * @param partnerId the partner, which is also the OAuth client id
 * @param clientSecret the OAuth client secret
 * @param username the e-mail address of the account
 * @param userpw the password of the account
 * @param deviceTypeIds the device types of the partner, at least one
 */
public record Credentials(
        String partnerId, String clientSecret, String username, String userpw, List<String> deviceTypeIds) {

    /** A partner that exists, but which this account may not touch: calls for it are answered with 403. */
    public static final String FOREIGN_PARTNER = "f0e1d2c3-0000-4000-8000-000000000403";

    /** Checks that nothing is missing. */
    public Credentials {
        Objects.requireNonNull(partnerId);
        Objects.requireNonNull(clientSecret);
        Objects.requireNonNull(username);
        Objects.requireNonNull(userpw);
        deviceTypeIds = List.copyOf(deviceTypeIds);
        if (deviceTypeIds.isEmpty()) {
            throw new IllegalArgumentException("expected at least one device type");
        }
    }

    /**
     * What a client sends after {@code Basic}.
     *
     * @return Base64 of client id, colon and client secret
     */
    public String authString() {
        return Base64.getEncoder().encodeToString((partnerId + ":" + clientSecret).getBytes(StandardCharsets.UTF_8));
    }

    /**
     * The account that owns all devices.
     *
     * @return an id that stays the same for the same partner
     */
    public String accountId() {
        return UUID.nameUUIDFromBytes(("account of " + partnerId).getBytes(StandardCharsets.UTF_8))
                .toString();
    }

    /** Names the account without its secrets. */
    @Override
    public String toString() {
        return "Credentials[partnerId=" + partnerId + ", username=" + username + ", deviceTypeIds=" + deviceTypeIds
                + "]";
    }
}
