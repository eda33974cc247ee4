// SPDX-License-Identifier: MIT
/**
 * A client of The Update Framework, specification 1.0. {@link org.metaotamgr.tuf.TufClient} follows its detailed client workflow
 * over a {@link org.metaotamgr.tuf.Transport} and keeps what it trusts in a {@link org.metaotamgr.tuf.MetadataStore}.
 *
 * <p>Section numbers in comments are those of the specification, version 1.0.34. Nothing here knows where time, bytes and storage
 * come from.
 */
package org.metaotamgr.tuf;
