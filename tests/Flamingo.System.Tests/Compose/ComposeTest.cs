using Flamingo.Testing;

namespace Flamingo.SystemTests.Compose;

/// <summary>A test of the stack: it finds every part running, and where it fails the containers' logs stand in its output.</summary>
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
        if (TestContext.Current.TestState?.Result == TestResult.Failed) TestContext.Current.TestOutputHelper?.WriteLine(await stack.LogsAsync());
    }
}
