// SPDX-License-Identifier: MIT
package org.metaotamgr.daemon;

import java.util.concurrent.CompletableFuture;
import java.util.function.IntFunction;
import java.util.function.LongSupplier;
import org.metaotamgr.agent.AgentDevice;
import org.metaotamgr.agent.HealthDirectory;
import org.metaotamgr.device.BootClock;
import org.metaotamgr.device.EventLog;
import org.metaotamgr.device.FileOperations;
import org.metaotamgr.device.ProcessRunner;
import org.metaotamgr.device.Programs;
import org.metaotamgr.device.Waiting;

/** The parts of the daemon, put together. */
record Assembly(Orders orders, Trial trial, OtaAttributes attributes, Engine engine) {
    /**
     * What they are put together on: a device, or a test.
     *
     * @param getter gets an attribute; may answer on any thread
     */
    record Environment(
            OtamgrConfig config,
            AgentDevice device,
            Programs programs,
            ProcessRunner runner,
            FileOperations files,
            BootClock boot,
            Waiting waiting,
            LongSupplier nanoTime,
            IntFunction<CompletableFuture<byte[]>> getter,
            EventLog log) {}

    static Assembly of(Environment on) {
        OtamgrConfig config = on.config();
        Links links = new Links(config.commit(), on.boot(), on.waiting());
        Orders orders = new Orders(on.device(), config, on.boot(), on.waiting(), on.log());
        OtaAttributes attributes =
                new OtaAttributes(on.runner(), config, orders, links, on.getter(), on.boot(), on.log());
        HealthDirectory checks = new HealthDirectory(
                config.commit().healthDirectory(),
                config.rootHelper(),
                config.commit().checkTimeout(),
                on.programs(),
                on.nanoTime(),
                on.log());
        Trial trial = new Trial(
                on.device(),
                config.commit(),
                checks,
                links,
                attributes::confirmHubby,
                on.boot(),
                on.waiting(),
                orders::rebootWaits,
                on.log());
        Rebooter rebooter = new Rebooter(
                on.programs(), on.waiting(), config, new RebootReason(config.rebootReason(), on.files()), on.log());
        Engine engine = new Engine(new Engine.Parts(
                on.device(),
                new HubbySource(),
                orders,
                links,
                trial,
                attributes,
                rebooter,
                on.boot(),
                on.waiting(),
                on.log()));
        return new Assembly(orders, trial, attributes, engine);
    }
}
