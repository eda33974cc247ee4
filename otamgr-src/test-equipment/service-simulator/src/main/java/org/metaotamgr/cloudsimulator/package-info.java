// SPDX-License-Identifier: MIT
/**
 * A stand-in for the Afero Cloud OTA service, for one developer's machine: the REST endpoints that the host tools use, a
 * plain HTTP side for devices, and a page that shows what happens. What the real service does is known from its public
 * documentation only; what a device downloads here (the header, the description of an update) is this project's own format.
 */
package org.metaotamgr.cloudsimulator;
