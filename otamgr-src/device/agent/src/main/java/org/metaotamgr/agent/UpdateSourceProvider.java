// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import org.metaotamgr.device.ConfigException;

/**
 * Makes a kind of source. Providers are found with {@link java.util.ServiceLoader}: a jar on the class path with
 * {@code META-INF/services/org.metaotamgr.agent.UpdateSourceProvider}. Only the one that the configuration names is
 * asked to open anything, so that a source that is not used costs neither memory nor time.
 */
public interface UpdateSourceProvider {
    /**
     * The name of this kind of source, as in the configuration.
     *
     * @return lower case letters, digits and hyphens
     */
    String name();

    /**
     * Makes the source. Nothing is asked of any server yet.
     *
     * @param configuration the object {@code source} of the configuration
     * @param context what the device offers to it
     * @return the source
     * @throws ConfigException if a value is missing or unusable
     */
    UpdateSource open(ConfigObject configuration, SourceContext context) throws ConfigException;
}
