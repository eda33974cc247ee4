// SPDX-License-Identifier: MIT
package org.metaotamgr.agent;

import java.io.IOException;
import org.metaotamgr.fuzz.Input;

/** What the agent remembers is read or refused, and what was read is written and read again as the same. */
public final class FuzzState {
    private FuzzState() {}

    public static void fuzzerTestOneInput(byte[] data) {
        Input input = new Input(data);
        int kind = input.next() % 3;
        byte[] content = input.rest();
        try {
            switch (kind) {
                case 0 -> {
                    AgentState state = AgentState.ofJson(content);
                    Input.require(AgentState.ofJson(state.toJson()).equals(state), "the same state");
                }
                case 1 -> {
                    FailureMemory memory = FailureMemory.ofJson(content);
                    Input.require(FailureMemory.ofJson(memory.toJson()).equals(memory), "the same memory");
                }
                default -> {
                    Target target = AgentState.targetOfJson(content);
                    Input.require(
                            AgentState.targetOfJson(AgentState.toJson(target)).equals(target), "the same target");
                }
            }
        } catch (IOException e) {
            Input.require(e.getMessage() != null, "a reason");
        }
    }
}
