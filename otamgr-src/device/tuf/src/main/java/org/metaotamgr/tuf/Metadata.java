// SPDX-License-Identifier: MIT
package org.metaotamgr.tuf;

import java.util.Map;

/**
 * A metadata file.
 *
 * @param <T> the kind of its signed part
 * @param signed its signed part
 * @param signedBytes what the signatures are over
 * @param signatures by the id of the key that is said to have made them
 */
record Metadata<T extends Signed>(T signed, byte[] signedBytes, Map<String, byte[]> signatures) {}
