using Flamingo.Testing;

namespace Flamingo.SystemTests.Compose;

/// <summary>Base class for tests of the stack: every part runs at the start, and a failed test prints the containers' logs.</summary>
[Collection<ComposeCollection>]
public abstract class ComposeTest(ComposeStack stack) : IAsyncLifetime
{
    protected ComposeStack Stack => stack;

    protected static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        ContainerEngine.Require();
        await stack.RestoreAsync(Cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        if (TestContext.Current.TestState?.Result == TestResult.Failed)
            TestContext.Current.TestOutputHelper?.WriteLine(await stack.LogsAsync());
    }
}
