// SPDX-License-Identifier: MIT
package com.google.errorprone.annotations;

import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;

/** Only so that the sources compile: tells tools that are not run here. */
@Retention(RetentionPolicy.SOURCE)
public @interface Immutable { }
