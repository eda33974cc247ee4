// SPDX-License-Identifier: MIT
package org.metaotamgr.system.architecture;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** The arrows of docs/architecture.md, read out of the compiled classes. */
@DisplayName("The house")
class ArchitectureTest {
    private static final String ROOT = "org.metaotamgr.";
    private static JavaClasses house;

    @BeforeAll
    static void readClasses() {
        house = new ClassFileImporter()
                .withImportOption(new ImportOption.DoNotIncludeTests())
                .importPackages(
                        ROOT + "wire",
                        ROOT + "attribute",
                        ROOT + "device",
                        ROOT + "agent",
                        ROOT + "bundle",
                        ROOT + "control",
                        ROOT + "daemon");
        assertTrue(house.size() > 100, house.size() + " classes were found");
    }

    private static void usesOnly(String room, String... others) {
        String[] allowed = new String[others.length + 5];
        System.arraycopy(
                new String[] {
                    ROOT + room + "..", "java..", "javax..", "com.fasterxml.jackson..", "org.newsclub.net.unix.."
                },
                0,
                allowed,
                0,
                5);
        for (int i = 0; i < others.length; i++) {
            allowed[i + 5] = ROOT + others[i] + "..";
        }
        classes()
                .that()
                .resideInAPackage(ROOT + room + "..")
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage(allowed)
                .check(house);
    }

    @Test
    @DisplayName("has no arrow beside those that are drawn")
    void arrows() {
        usesOnly("wire");
        usesOnly("attribute", "device", "wire");
        usesOnly("device");
        usesOnly("agent", "device");
        usesOnly("bundle", "agent", "device");
        usesOnly("control", "agent", "device");
        usesOnly("daemon", "agent", "control", "device", "attribute", "wire");
    }

    @Test
    @DisplayName("has no circle of packages")
    void noCircles() {
        slices().matching(ROOT + "(*)..").should().beFreeOfCycles().check(house);
    }

    @Test
    @DisplayName("has one place each that starts programs, runs sysupgrade and runs ota-slot")
    void onePlaceEach() {
        noClasses()
                .that()
                .doNotHaveFullyQualifiedName(ROOT + "device.SystemProcessRunner")
                .should()
                .dependOnClassesThat()
                .haveFullyQualifiedName("java.lang.ProcessBuilder")
                .check(house);
        noClasses()
                .that()
                .resideOutsideOfPackage(ROOT + "device..")
                .should()
                .dependOnClassesThat()
                .haveFullyQualifiedName("java.lang.Process")
                .check(house);
        noClasses()
                .that()
                .doNotHaveSimpleName("InstallStep")
                .and()
                .doNotHaveSimpleName("Installer")
                .should()
                .callMethodWhere(com.tngtech.archunit.core.domain.JavaCall.Predicates.target(
                        com.tngtech.archunit.core.domain.properties.HasOwner.Predicates.With.owner(
                                com.tngtech.archunit.core.domain.properties.HasName.Predicates.name(
                                        ROOT + "agent.Installer"))))
                .check(house);
    }

    @Test
    @DisplayName("has one place that decides whether a trial is committed")
    void oneJudgeOfATrial() {
        noClasses()
                .that()
                .doNotHaveSimpleName("TrialDecision")
                .should()
                .callMethod(ROOT + "agent.Slots", "commit")
                .check(house);
    }

    @Test
    @DisplayName("keeps network protocols out of the engine's library")
    void noNetworkInTheAgent() {
        noClasses()
                .that()
                .resideInAnyPackage(ROOT + "agent..", ROOT + "device..", ROOT + "bundle..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("java.net.http..", "javax.net..")
                .check(house);
    }
}
