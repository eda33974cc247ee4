// SPDX-License-Identifier: MIT
package org.eclipse.jdt.annotation;

import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;

/** Only so that the sources compile: tells tools that are not run here. */
@Retention(RetentionPolicy.SOURCE)
public @interface NonNullByDefault { }
