// SPDX-License-Identifier: MIT
package org.metaotamgr.cloudsimulator;

import java.math.BigInteger;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * How a simulated service behaves.
 *
 * @param folder where its state is kept; created when missing
 * @param address where it listens; port 0 takes a free one
 * @param credentials the account it knows
 * @param tokenLife how long an access token is valid
 * @param firstVersionNumber the version number of the first record of each type, unsigned 64-bit
 * @param strict whether a push that the device would refuse as a downgrade is answered with 409 instead of being noted
 * @param installAfter how long after a push a device reports the image as installed by itself; empty waits for a real hubby
 * @param clock the time in records and tokens
 * @param log takes one line for each event worth telling
 */
public record Settings(
        Path folder,
        InetSocketAddress address,
        Credentials credentials,
        Duration tokenLife,
        BigInteger firstVersionNumber,
        boolean strict,
        Optional<Duration> installAfter,
        Clock clock,
        Consumer<String> log) {

    /** Above 2^53, so that a client which reads numbers as floating point shows it at once. */
    public static final BigInteger DEFAULT_FIRST_VERSION_NUMBER =
            BigInteger.TWO.pow(53).add(BigInteger.valueOf(1001));

    /** Checks ranges. */
    public Settings {
        Objects.requireNonNull(folder);
        Objects.requireNonNull(address);
        Objects.requireNonNull(credentials);
        Objects.requireNonNull(installAfter);
        Objects.requireNonNull(clock);
        Objects.requireNonNull(log);
        if (firstVersionNumber.signum() <= 0 || firstVersionNumber.bitLength() > 63) {
            throw new IllegalArgumentException(
                    "first version number: expected 1 to 2^63-1, found " + firstVersionNumber);
        }
        if (tokenLife.isNegative() || tokenLife.isZero()) {
            throw new IllegalArgumentException("token life: expected more than 0 s, found " + tokenLife);
        }
    }

    /**
     * A service on a free loopback port, silent, waiting for real devices.
     *
     * @param folder where its state is kept
     * @param credentials the account it knows
     * @return the settings
     */
    public static Settings of(Path folder, Credentials credentials) {
        return new Settings(
                folder,
                new InetSocketAddress("127.0.0.1", 0),
                credentials,
                Duration.ofSeconds(16086),
                DEFAULT_FIRST_VERSION_NUMBER,
                false,
                Optional.empty(),
                Clock.systemUTC(),
                line -> {});
    }

    /**
     * The same with another token life.
     *
     * @param life how long an access token is valid
     * @return the changed settings
     */
    public Settings withTokenLife(Duration life) {
        return new Settings(folder, address, credentials, life, firstVersionNumber, strict, installAfter, clock, log);
    }

    /**
     * The same with another first version number.
     *
     * @param number the version number of the first record of each type
     * @return the changed settings
     */
    public Settings withFirstVersionNumber(BigInteger number) {
        return new Settings(folder, address, credentials, tokenLife, number, strict, installAfter, clock, log);
    }

    /**
     * The same, answering downgrades with 409.
     *
     * @return the changed settings
     */
    public Settings withStrictPush() {
        return new Settings(
                folder, address, credentials, tokenLife, firstVersionNumber, true, installAfter, clock, log);
    }

    /**
     * The same with devices that install by themselves.
     *
     * @param delay how long after a push
     * @return the changed settings
     */
    public Settings withInstallAfter(Duration delay) {
        return new Settings(
                folder, address, credentials, tokenLife, firstVersionNumber, strict, Optional.of(delay), clock, log);
    }
}
