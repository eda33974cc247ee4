// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Whether the way to the network costs money, judged by the interface of the default route with the lowest metric, IPv4
 * first.
 *
 * @param interfaces begins of the names of interfaces that cost money
 * @param routes the kernel's folder, {@code /proc/net}
 */
public record MeteredLink(List<String> interfaces, Path routes) {
    private static final String ANY = "00000000";

    /** Copies the list. */
    public MeteredLink {
        interfaces = List.copyOf(interfaces);
    }

    /**
     * Whether it costs money now.
     *
     * @return whether it does; no if there is no way to the network at all
     */
    public boolean isMetered() {
        if (interfaces.isEmpty()) {
            return false;
        }
        return defaultInterface(Table.IPV4)
                .or(() -> defaultInterface(Table.IPV6))
                .filter(name -> interfaces.stream().anyMatch(name::startsWith))
                .isPresent();
    }

    /** Both tables of the kernel consist of columns; which column is what differs. */
    private enum Table {
        /** Interface, destination, gateway, flags, references, use, metric, mask, and more. */
        IPV4("route", 0, 1, ANY, 7, ANY, 6, 10),
        /** Destination, its prefix, source, its prefix, gateway, metric, references, use, flags, interface. */
        IPV6("ipv6_route", 9, 0, ANY.repeat(4), 1, "00", 5, 16);

        private final String file;
        private final int name;
        private final int destination;
        private final String anyDestination;
        private final int prefix;
        private final String anyPrefix;
        private final int metric;
        private final int radix;

        Table(
                String file,
                int name,
                int destination,
                String anyDestination,
                int prefix,
                String anyPrefix,
                int metric,
                int radix) {
            this.file = file;
            this.name = name;
            this.destination = destination;
            this.anyDestination = anyDestination;
            this.prefix = prefix;
            this.anyPrefix = anyPrefix;
            this.metric = metric;
            this.radix = radix;
        }

        boolean isDefault(String[] columns) {
            return columns.length > Math.max(name, prefix)
                    && columns[destination].equals(anyDestination)
                    && columns[prefix].equals(anyPrefix)
                    && !columns[name].equals("lo");
        }
    }

    private Optional<String> defaultInterface(Table table) {
        List<String> lines;
        try {
            lines = Files.readAllLines(routes.resolve(table.file), StandardCharsets.US_ASCII);
        } catch (IOException e) {
            // A kernel without this protocol.
            return Optional.empty();
        }
        Optional<String> found = Optional.empty();
        long least = Long.MAX_VALUE;
        for (String line : lines) {
            String[] columns = line.strip().split("\\s+");
            if (table.isDefault(columns)) {
                long cost = Long.parseLong(columns[table.metric], table.radix);
                if (cost < least) {
                    least = cost;
                    found = Optional.of(columns[table.name]);
                }
            }
        }
        return found;
    }
}
