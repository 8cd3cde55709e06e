using Flamingo.Browser.Tests.Driving;
using Flamingo.Testing;

namespace Flamingo.Browser.Tests;

/// <summary>The page's modules that touch neither the page nor the network, tested in Node by the files in the folder Modules.</summary>
public sealed class ModuleTests
{
    [Fact(Timeout = 60_000)]
    public async Task The_modules_that_make_requests_and_programs_pass_their_tests_in_Node()
    {
        var node = Programs.Require("node");
        var tests = RepositoryFiles.Path("tests", "Flamingo.Browser.Tests", "Modules");
        var run = await ProgramRun.RunAsync(
            node, ["--test", "--test-reporter=tap", .. Directory.GetFiles(tests, "*.test.mjs")], TestContext.Current.CancellationToken,
            tests,
            new Dictionary<string, string> { ["PAGE_FOLDER"] = RepositoryFiles.Path("services", "Gateway", "Doors", "Page", "web") });
        Assert.Matches("(?m)^# pass [1-9]", run.MustReturn(0).Output);
        Assert.Matches("(?m)^# fail 0$", run.Output);
    }
}
