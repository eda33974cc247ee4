// SPDX-License-Identifier: MIT
package org.metaotamgr.hawkbit;

import java.util.Optional;
import org.metaotamgr.agent.Version;
import org.metaotamgr.device.JsonFields;
import org.metaotamgr.fuzz.Input;

/** What a hawkBit server says is a deployment that can be used, or is refused with a sentence. */
public final class FuzzHawkbit {
    private FuzzHawkbit() {}

    public static void fuzzerTestOneInput(byte[] data) {
        Input input = new Input(data);
        boolean secureOnly = (input.next() & 1) == 0;
        byte[] content = input.rest();
        try {
            JsonFields json = JsonFields.of("action 11", content);
            links(json);
            Deployment deployment = Deployment.of(json, "deployment", "11", Optional.empty(), secureOnly);
            Input.require(Version.isVersion(deployment.target().version()), "a version");
            String url = deployment.target().details().get("url");
            Input.require(url.startsWith("https://") || !secureOnly && url.startsWith("http://"), "a URL: " + url);
        } catch (JsonFields.MalformedException | Deployment.OtherActionException e) {
            Input.require(
                    e.getMessage().contains("expected")
                            && e.getMessage().chars().noneMatch(one -> one < ' '),
                    "a reason in one line: " + e.getMessage());
        }
    }

    private static void links(JsonFields json) throws JsonFields.MalformedException {
        JsonFields links = json.object("_links");
        for (String relation : new String[] {"deploymentBase", "cancelAction", "confirmationBase"}) {
            if (links.has(relation)) {
                String href = links.object(relation).string("href");
                Ddi.linkOf(href, relation)
                        .ifPresent(link -> Input.require(Ddi.isActionId(link.action()), "the number of an action"));
            }
        }
    }
}
