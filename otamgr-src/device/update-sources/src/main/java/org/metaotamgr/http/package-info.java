// SPDX-License-Identifier: MIT
/** Talks to web servers, and brings large files from them, on links that break and from servers that misbehave. */
package org.metaotamgr.http;
