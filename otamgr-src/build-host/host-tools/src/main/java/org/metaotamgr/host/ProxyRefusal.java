// SPDX-License-Identifier: MIT
package org.metaotamgr.host;

import java.net.ConnectException;
import org.metaotamgr.device.Proxies;

/** The proxy does not let a call pass; the service has not seen it. */
final class ProxyRefusal extends ConnectException {

    private static final long serialVersionUID = 1L;

    private final int status;

    ProxyRefusal(Proxies.Server proxy, int status) {
        super("the proxy " + proxy
                + (status == 407
                        ? " wants to know who asks (HTTP 407); give its user and password: https_proxy=http://USER:PASSWORD@"
                                + proxy + ", or --proxy"
                        : " answered HTTP " + status
                                + " instead of connecting; check whether it allows this service, or use --proxy none"));
        this.status = status;
    }

    /** Whether it may be another answer a moment later. */
    boolean mayPass() {
        return status >= 500;
    }
}
