// SPDX-License-Identifier: MIT
/** Updates from a folder on a web server, whose list is signed: docs/source-repository.md. */
package org.metaotamgr.repository;
